"""The binary tensor extension of the Open Inference Protocol: little-endian elements after, or instead of, the JSON."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np

from ..errors import BodyTooLarge, MalformedBody, Misfit, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Datatype, Signature
from .envelopes import InferTensor
from .tensor_inputs import check_row_count
from .tensor_reader import Array

HEADER = "Inference-Header-Content-Length"
_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTH_BYTES = 4


def header_length(header: str, body: bytes) -> int:
    """The bytes of JSON at the beginning of ``body``, as ``header`` says; raises MalformedBody."""
    if not _LENGTH.fullmatch(header):
        raise MalformedBody(f"{HEADER} is not a number of bytes")
    length = int(header)
    if length > len(body):
        raise MalformedBody(f"{HEADER} is longer than the body")
    return length


class BinaryTail:
    """What follows the JSON; its tensors are taken in the order of the inputs, with ``most_texts`` in them together."""

    def __init__(self, body: bytes, start: int, max_rows: int, most_texts: int) -> None:
        self._body = body
        self._at = start
        self._max_rows = max_rows
        self._most_texts = self._texts_left = most_texts

    def take(self, tensor: InferTensor, size: int) -> Array:
        """The next ``size`` bytes as ``tensor``; raises MalformedBody when they do not fill its shape exactly.

        Raises SignatureMismatch or BodyTooLarge for more texts than the most rows have, before they are taken apart.

        The array is read-only and shares its memory with the body where the alignment allows.
        """
        if tensor.data:
            raise MalformedBody("an input has data both in the JSON and in binary")
        if size > len(self._body) - self._at:
            raise MalformedBody("the body ends before the last tensor does")
        if tensor.datatype == "BYTES" and 0 < prod(tensor.shape) <= size // _LENGTH_BYTES and tensor.shape:
            check_row_count(tensor.shape[0], self._max_rows)
            self._texts_left -= prod(tensor.shape)
            if self._texts_left < 0:
                raise BodyTooLarge(f"the body has more than {self._most_texts} texts")
        start, self._at = self._at, self._at + size
        return elements(tensor.name, tensor.datatype, tensor.shape, self._body, start=start, size=size)

    def finish(self) -> None:
        """Raise MalformedBody when bytes are left that no input claims."""
        if self._at != len(self._body):
            raise MalformedBody(f"the body has {len(self._body) - self._at} bytes after the last tensor")


def raw_input(body: bytes, signature: Signature) -> Array:
    """``body``, without any JSON, as one row of a model's one input; raises SignatureMismatch or MalformedBody."""
    if len(signature.sent_inputs) != 1:
        raise SignatureMismatch("a body without JSON goes to models of one input")
    spec = signature.sent_inputs[0]
    shape = [1, *spec.shape[1:]]
    if spec.datatype == "BYTES" and prod(shape) == 1:
        return _texts([body], shape)
    return elements(spec.name, spec.datatype, shape, body, start=0, size=len(body))


def elements(name: str, datatype: Datatype, shape: list[int], body: bytes, *, start: int, size: int) -> Array:
    """``size`` bytes of ``body`` as an array of ``shape``; raises MalformedBody or SignatureMismatch."""
    count = prod(shape)
    if not count:
        raise SignatureMismatch("the request has no rows", [Misfit("the shape has no elements", feature=name)])
    if datatype == "BYTES":
        return _texts(_split(body[start : start + size], count), shape)
    dtype = NUMPY_DTYPES[datatype]
    if size != count * dtype.itemsize:
        raise MalformedBody("a tensor's bytes do not fill its shape")
    if datatype == "BOOL":
        octets = np.frombuffer(body, dtype=np.uint8, count=count, offset=start)
        if octets.max() > 1:
            raise MalformedBody("a BOOL in binary is 0 or 1")
        return octets.view(np.bool_).reshape(shape)
    array = np.frombuffer(body, dtype=dtype.newbyteorder("<"), count=count, offset=start)
    # A copy only where runtimes could not take it as it is: off its alignment, or on a big-endian machine.
    return np.require(array, dtype=dtype, requirements="A").reshape(shape)


def little_endian(tensor: Array) -> bytes:
    """The elements of a number tensor, row-major, as the extension writes them."""
    return np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<")).tobytes()


def _split(data: bytes, count: int) -> list[bytes]:
    """``count`` texts, each after its length in four bytes."""
    if count > len(data) // _LENGTH_BYTES:
        raise MalformedBody("a tensor's bytes do not fill its shape")
    texts = []
    at = 0
    for _ in range(count):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "little")
        if at > len(data):
            raise MalformedBody("a tensor's bytes do not fill its shape")
        texts.append(data[begin:at])
    if at != len(data):
        raise MalformedBody("a tensor's bytes do not fill its shape")
    return texts


def _texts(texts: list[bytes], shape: list[int]) -> np.ndarray[Any, Any]:
    array = np.empty(len(texts), dtype=object)
    try:
        array[:] = [text.decode("utf-8") for text in texts]
    except UnicodeDecodeError:
        raise MalformedBody("a text in a tensor is not UTF-8") from None
    return array.reshape(shape)
