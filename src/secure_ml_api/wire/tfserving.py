"""TensorFlow Serving's REST predict: ``instances`` → ``predictions``, or ``inputs`` → ``outputs``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..errors import Misfit, Refusal, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Signature, Tensors, TensorSpec
from .envelopes import TensorFlowRequest, read_envelope
from .json_answer import json_answer, plain
from .json_text import check_size, parts_of, read_json
from .negotiation import check_json_or_form
from .number_text import fits
from .question import Answer, Dialect, Payload
from .quick_rows import quick_instances
from .tensor_inputs import check_row_count, fit_tensors, other_inputs
from .tensor_reader import Array, read_tensor

SIGNATURE_NAME = "serving_default"


@dataclass(frozen=True, slots=True)
class TensorFlowQuestion:
    """One decoded request; ``columnar`` when it came as ``inputs``."""

    signature: Signature
    inputs: Tensors
    rows: int
    columnar: bool
    wanted: tuple[str, ...]
    timeout_seconds: float | None = None

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        named = {name: np.ascontiguousarray(outputs[name]) for name in self.wanted}
        if self.columnar:
            return json_answer({"outputs": next(iter(named.values())) if len(named) == 1 else named})
        if len(named) == 1:
            return json_answer({"predictions": next(iter(named.values()))})
        columns = [plain(array) for array in named.values()]
        rows = [dict(zip(named, row, strict=True)) for row in zip(*columns, strict=True)]
        return json_answer({"predictions": rows})


def decode_tensorflow(payload: Payload, signature: Signature, max_rows: int) -> TensorFlowQuestion:
    """The question in ``payload``; raises MalformedBody, BodyTooLarge or SignatureMismatch."""
    check_size(payload.body, signature, max_rows)
    return _read_quickly(payload.body, signature, max_rows) or read_tensorflow(payload.body, signature, max_rows)


def read_tensorflow(body: bytes, signature: Signature, max_rows: int) -> TensorFlowQuestion:
    """The question in ``body``; the one judge of bodies that are not plainly good."""
    request = read_envelope(TensorFlowRequest, read_json(body, parts_of(signature, max_rows)))
    _check_form(request)
    if request.instances is not None:
        check_row_count(len(request.instances), max_rows)
    named = _by_name(request, signature)
    specs = [spec for spec in signature.sent_inputs if spec.name in named]
    given = {spec.name: _tensor(spec, named[spec.name], signature) for spec in specs}
    return _question(request, given, signature, max_rows)


def _read_quickly(body: bytes, signature: Signature, max_rows: int) -> TensorFlowQuestion | None:
    """The question when it has rows of nothing but numbers; None when the general reader must judge."""
    datatype = signature.columns[0].datatype
    if not signature.is_matrix or datatype in {"BOOL", "FP16"}:
        return None
    quick = quick_instances(body, TensorFlowRequest, signature)
    if quick is None or len(quick[1]) > max_rows or not fits(quick[1], datatype):
        return None
    request, numbers = quick
    try:
        _check_form(request)
        return _question(request, {"input": numbers.astype(NUMPY_DTYPES[datatype], copy=False)}, signature, max_rows)
    except Refusal:
        return None


def _check_form(request: TensorFlowRequest) -> None:
    if request.signature_name not in {None, "", SIGNATURE_NAME}:
        raise SignatureMismatch(
            f"the model has one signature, {SIGNATURE_NAME}", [Misfit("unknown", feature="signature_name")]
        )
    if (request.instances is None) == (request.inputs is None):
        raise SignatureMismatch("send either instances, row by row, or inputs, column by column")


def _question(
    request: TensorFlowRequest, given: Mapping[str, Array], signature: Signature, max_rows: int
) -> TensorFlowQuestion:
    inputs = fit_tensors(given, signature)
    rows = len(next(iter(inputs.values())))
    check_row_count(rows, max_rows)
    return TensorFlowQuestion(signature, inputs, rows, request.instances is None, signature.output_names)


def _by_name(request: TensorFlowRequest, signature: Signature) -> Mapping[str, list[Any]]:
    """Input name → its values over all rows; a model with one input may leave its name out."""
    known = {spec.name for spec in signature.inputs}
    only = signature.inputs[0].name
    if request.instances is None:
        columns = request.inputs if isinstance(request.inputs, dict) else {only: request.inputs}
        if not columns.keys() <= known:
            raise other_inputs(signature)
        return {name: column if isinstance(column, list) else [column] for name, column in columns.items()}
    rows = request.instances
    if not any(isinstance(row, dict) and "b64" not in row for row in rows):
        return {only: rows}
    names = set(rows[0]) if isinstance(rows[0], dict) else set()
    if not names <= known:
        raise other_inputs(signature)
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != names:
            raise SignatureMismatch("the rows do not all name the same inputs", [Misfit("differs", row=index)])
    return {name: [row[name] for row in cast("list[dict[str, Any]]", rows)] for name in names}


def _tensor(spec: TensorSpec, values: list[Any], signature: Signature) -> Array:
    if spec.datatype == "BYTES":
        values = [[_text(cell) for cell in value] if isinstance(value, list) else _text(value) for value in values]
    shape, level = [len(values)], values
    while level and isinstance(level[0], list) and len(shape) < len(spec.shape):
        level = level[0]
        shape.append(len(level))
    nullable = any(column.allow_missing for column in signature.columns)
    return read_tensor(spec.name, spec.datatype, shape, values, nullable)


def _text(value: Any) -> Any:
    """Strings as they are, ``{"b64": …}`` decoded."""
    if not isinstance(value, dict):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True).decode("utf-8")
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise SignatureMismatch('a binary value is {"b64": "…"} and holds UTF-8 text') from None


TENSORFLOW = Dialect(check_json_or_form, decode_tensorflow)
