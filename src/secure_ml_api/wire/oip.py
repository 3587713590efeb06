"""Open Inference Protocol v2: named tensors in, named tensors out, in JSON or with their elements in binary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from ..errors import MalformedBody, Misfit, Refusal, SignatureMismatch
from ..tensors import Signature, Tensors, TensorSpec
from .envelopes import InferOutput, InferRequest, InferTensor, read_envelope
from .json_answer import json_answer
from .json_text import check_size, parts_of, read_json
from .negotiation import check_tensors
from .oip_binary import HEADER, BinaryTail, header_length, little_endian, raw_input
from .question import BINARY, Answer, Dialect, Payload
from .quick_infer import quick_infer
from .tensor_inputs import check_row_count, fit_tensors, join_columns, other_inputs
from .tensor_reader import Array, read_tensor

# One input tensor of a request → its array.
Reader = Callable[[InferTensor], Array]

_MOST_KEPT_BYTES = 512
_KEPT_HEADS = 256


@dataclass(frozen=True, slots=True)
class OipQuestion:
    """One decoded inference request; ``binary`` names the outputs whose elements follow the answer's JSON."""

    signature: Signature
    inputs: Tensors
    rows: int
    wanted: tuple[str, ...]
    binary: frozenset[str] = frozenset()
    id: str | None = None
    timeout_seconds: float | None = None

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        specs = {spec.name: spec for spec in self.signature.outputs}
        payload: dict[str, Any] = {"model_name": model, "model_version": version}
        if self.id is not None:
            payload["id"] = self.id
        if not self.binary:
            payload["outputs"] = [_output(specs[name], outputs[name]) for name in self.wanted]
            return json_answer(payload)
        tail = {name: little_endian(outputs[name]) for name in self.wanted if name in self.binary}
        payload["outputs"] = [_output(specs[name], outputs[name], tail.get(name)) for name in self.wanted]
        head = orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
        return Answer(b"".join((head, *tail.values())), BINARY, headers=((HEADER, str(len(head))),))


def decode_oip(payload: Payload, signature: Signature, max_rows: int) -> OipQuestion:
    """The question in ``payload``; raises MalformedBody, BodyTooLarge or SignatureMismatch."""
    if payload.inference_header_length:
        return _read_binary(payload, signature, max_rows)
    check_size(payload.body, signature, max_rows)
    return _read_quickly(payload.body, signature, max_rows) or read_infer(payload.body, signature, max_rows)


def read_infer(body: bytes, signature: Signature, max_rows: int) -> OipQuestion:
    """The question in a body of JSON; the one judge of bodies that are not plainly good."""
    request = read_envelope(InferRequest, read_json(body, parts_of(signature, max_rows)))
    if any(_binary_size(tensor) for tensor in request.inputs):
        raise MalformedBody(f"binary_data_size needs the header {HEADER}")
    return _question(request, _json_reader(signature), signature, max_rows)


def _read_quickly(body: bytes, signature: Signature, max_rows: int) -> OipQuestion | None:
    try:
        quick = quick_infer(body, signature, max_rows)
        if quick is None or any(_binary_size(tensor) for tensor in quick[0].inputs):
            return None
        arrays = iter(quick[1])
        return _question(quick[0], lambda _: next(arrays), signature, max_rows)
    except Refusal:
        return None


def _read_binary(payload: Payload, signature: Signature, max_rows: int) -> OipQuestion:
    body = payload.body
    length = header_length(payload.inference_header_length, body)
    if length == 0:
        inputs = fit_tensors({signature.sent_inputs[0].name: raw_input(body, signature)}, signature)
        names = signature.output_names
        return OipQuestion(signature, inputs, 1, names, frozenset(names))
    head, most = body[:length], parts_of(signature, max_rows)
    check_size(head, signature, max_rows)
    request = _head(head, most)
    tail = BinaryTail(body, length, max_rows, most)
    in_json = _json_reader(signature)

    def read(tensor: InferTensor) -> Array:
        size = _binary_size(tensor)
        return in_json(tensor) if size is None else tail.take(tensor, size)

    return _question(request, read, signature, max_rows, tail.finish)


def _head(text: bytes, most_parts: int) -> InferRequest:
    """The JSON before the tensors; most callers send the same one each time, but for those whose data is in it."""
    is_kept = len(text) <= _MOST_KEPT_BYTES and b'"data"' not in text
    return (_kept_head if is_kept else _read_head)(text, most_parts)


def _read_head(text: bytes, most_parts: int) -> InferRequest:
    return read_envelope(InferRequest, read_json(text, most_parts))


_kept_head = lru_cache(maxsize=_KEPT_HEADS)(_read_head)


def _question(
    request: InferRequest,
    read: Reader,
    signature: Signature,
    max_rows: int,
    finish: Callable[[], None] = lambda: None,
) -> OipQuestion:
    """The question of ``request``, whose tensors ``read`` gives in their order, before ``finish``."""
    _check_names([tensor.name for tensor in request.inputs], signature)
    given = {tensor.name: read(tensor) for tensor in request.inputs}
    finish()
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
        binary=_binary_outputs(request, signature),
        id=request.id,
        timeout_seconds=timeout / 1e6 if timeout else None,
    )


def wanted_outputs(requested: list[InferOutput] | None, signature: Signature) -> tuple[str, ...]:
    """The outputs asked for, all of them when none are named; raises SignatureMismatch for one the model lacks."""
    known = signature.output_names
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
    if not _known_names(signature).issuperset(names):
        raise other_inputs(signature)


@lru_cache(maxsize=512)
def _known_names(signature: Signature) -> frozenset[str]:
    return frozenset(spec.name for spec in signature.inputs).union(signature.column_names)


@lru_cache(maxsize=512)
def _json_reader(signature: Signature) -> Reader:
    """Reads the data that stands in the JSON; null is NaN in columns that allow it, and judged later in a matrix."""
    nullable = {column.name: column.allow_missing for column in signature.columns}
    anywhere = any(nullable.values())

    def read(tensor: InferTensor) -> Array:
        allowed = nullable.get(tensor.name, anywhere)
        return read_tensor(tensor.name, tensor.datatype, tensor.shape, tensor.data or [], allowed)

    return read


def _binary_size(tensor: InferTensor) -> int | None:
    return tensor.parameters.binary_data_size if tensor.parameters else None


def _binary_outputs(request: InferRequest, signature: Signature) -> frozenset[str]:
    """The outputs asked for in binary, each on its own or all that say nothing of their own."""
    by_default = bool(request.parameters and request.parameters.binary_data_output)
    if not request.outputs:
        return frozenset(signature.output_names) if by_default else frozenset()
    said = {output.name: output.parameters.binary_data if output.parameters else None for output in request.outputs}
    return frozenset(name for name, binary in said.items() if (by_default if binary is None else binary))


def _check_datatypes(tensors: list[InferTensor], signature: Signature) -> None:
    expected = {spec.name: spec.datatype for spec in signature.inputs}
    misfits = [
        Misfit(f"expected datatype {expected[tensor.name]}, got {tensor.datatype}", feature=tensor.name)
        for tensor in tensors
        if tensor.name in expected and tensor.datatype != expected[tensor.name]
    ]
    if misfits:
        raise SignatureMismatch("an input does not have the model's datatype", misfits)


def _output(spec: TensorSpec, tensor: Array, binary: bytes | None = None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(tensor.shape)}
    if binary is None:
        return described | {"data": np.ascontiguousarray(tensor).reshape(-1)}
    return described | {"parameters": {"binary_data_size": len(binary)}}


OIP = Dialect(check_tensors, decode_oip)
