"""Open Inference Protocol v2, JSON: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import Misfit, SignatureMismatch
from ..tensors import Column, Signature, Tensors, TensorSpec
from .envelopes import InferOutput, InferRequest, InferTensor, read_envelope
from .json_answer import json_answer
from .json_text import parts_of, read_json
from .negotiation import check_answer
from .question import Answer, Dialect, Payload
from .rows import check_row_count
from .tensor_inputs import fit_tensors, join_columns, other_inputs
from .tensor_reader import Array, read_tensor


@dataclass(frozen=True, slots=True)
class OipQuestion:
    """One decoded inference request."""

    signature: Signature
    inputs: Tensors
    rows: int
    wanted: tuple[str, ...]
    id: str | None
    timeout_seconds: float | None

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        specs = {spec.name: spec for spec in self.signature.outputs}
        payload: dict[str, Any] = {"model_name": model, "model_version": version}
        if self.id is not None:
            payload["id"] = self.id
        payload["outputs"] = [_output(specs[name], outputs[name]) for name in self.wanted]
        return json_answer(payload)


def decode_oip(payload: Payload, signature: Signature, max_rows: int) -> OipQuestion:
    """The question in ``body``; raises MalformedBody or SignatureMismatch."""
    request = read_envelope(InferRequest, read_json(payload.body, parts_of(signature, max_rows)))
    _check_names([tensor.name for tensor in request.inputs], signature)
    columns = {column.name: column for column in signature.columns}
    given = {tensor.name: _input(tensor, columns) for tensor in request.inputs}
    joined = join_columns(given, signature)
    if joined is given:
        _check_datatypes(request.inputs, signature)
    inputs = fit_tensors(joined, signature)
    rows = len(next(iter(inputs.values())))
    check_row_count(rows, max_rows)
    timeout = request.parameters.timeout if request.parameters else None
    return OipQuestion(
        signature=signature,
        inputs=inputs,
        rows=rows,
        wanted=wanted_outputs(request.outputs, signature),
        id=request.id,
        timeout_seconds=timeout / 1e6 if timeout else None,
    )


def wanted_outputs(requested: list[InferOutput] | None, signature: Signature) -> tuple[str, ...]:
    """The outputs asked for, all of them when none are named; raises SignatureMismatch for one the model lacks."""
    known = tuple(spec.name for spec in signature.outputs)
    if not requested:
        return known
    names = tuple(dict.fromkeys(output.name for output in requested))
    if not set(names) <= set(known):
        raise SignatureMismatch(
            f"the model gives exactly these outputs: {', '.join(known)}", [Misfit("unknown output", feature="outputs")]
        )
    return names


def _check_names(names: list[str], signature: Signature) -> None:
    """Refuse names that the model does not have before a tensor is read: from here on a name may be repeated."""
    if len(set(names)) != len(names):
        raise SignatureMismatch("two inputs have the same name")
    if not {spec.name for spec in signature.inputs}.union(signature.column_names).issuperset(names):
        raise other_inputs(signature)


def _input(tensor: InferTensor, columns: Mapping[str, Column]) -> Array:
    column = columns.get(tensor.name)
    nullable = column.allow_missing if column else any(column.allow_missing for column in columns.values())
    return read_tensor(tensor.name, tensor.datatype, tensor.shape, tensor.data or [], nullable)


def _check_datatypes(tensors: list[InferTensor], signature: Signature) -> None:
    expected = {spec.name: spec.datatype for spec in signature.inputs}
    misfits = [
        Misfit(f"expected datatype {expected[tensor.name]}, got {tensor.datatype}", feature=tensor.name)
        for tensor in tensors
        if tensor.name in expected and tensor.datatype != expected[tensor.name]
    ]
    if misfits:
        raise SignatureMismatch("an input does not have the model's datatype", misfits)


def _output(spec: TensorSpec, tensor: Array) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(tensor.shape),
        "data": np.ascontiguousarray(tensor).reshape(-1),
    }


OIP = Dialect(check_answer, decode_oip)
