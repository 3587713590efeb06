"""Inference requests whose data is nothing but numbers, read without a Python object for each number.

As in ``quick_rows``: what is not wholly understood and good is answered with None, and judged by ``tensor_reader``.
"""

from __future__ import annotations

from math import prod

from ..tensors import NUMPY_DTYPES, Signature
from .envelopes import InferRequest, InferTensor, read_envelope
from .excerpt import excerpt, mark
from .json_text import has_more_parts, parts_of, read_json
from .number_text import Array, fits, read_numbers


def quick_infer(body: bytes, signature: Signature, max_rows: int) -> tuple[InferRequest, list[Array]] | None:
    """The request without its data, and its tensors in the order of the inputs.

    None when the general reader must judge; any Refusal that is raised on the way means the same.
    """
    cut = excerpt(body, b'"data"')
    if cut is None:
        return None
    value = read_json(cut.envelope)
    inputs = value.get("inputs") if isinstance(value, dict) else None
    if not isinstance(inputs, list) or len(inputs) != len(cut.arrays):
        return None
    for index, tensor in enumerate(inputs):
        if not isinstance(tensor, dict) or tensor.get("data") != mark(index):
            return None
        tensor["data"] = []
    request = read_envelope(InferRequest, value)
    arrays: list[Array] = []
    lists = 0
    for tensor, text in zip(request.inputs, cut.arrays, strict=True):
        array = quick_tensor(tensor, text)
        if array is None:
            return None
        arrays.append(array)
        lists += 1 + tensor.shape[0]  # more than there are when the data is flat
    if has_more_parts(cut.envelope, parts_of(signature, max_rows) - lists):
        return None
    return request, arrays


def quick_tensor(tensor: InferTensor, text: bytes) -> Array | None:
    """``text``, flat or, for a matrix, nested, as the array that ``tensor`` describes."""
    datatype, shape = tensor.datatype, tensor.shape
    if datatype in {"BOOL", "FP16", "BYTES"} or not shape or not prod(shape):
        return None
    numbers = read_numbers(text, datatype, shape[-1])
    if numbers is None or numbers.size != prod(shape) or not fits(numbers, datatype):
        return None
    if numbers.ndim > 1 and numbers.ndim != len(shape):
        return None
    return numbers.astype(NUMPY_DTYPES[datatype], copy=False).reshape(shape)
