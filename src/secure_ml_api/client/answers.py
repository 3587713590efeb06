"""Rows and predictions as they travel: the binary tensors of the Open Inference Protocol, or rows of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import BadRequest
from .steps import Reply

Array = np.ndarray[Any, np.dtype[Any]]

_DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What ``version`` of ``model`` answered: ``outputs`` by name, each with one entry or row for each row asked.

    ``label`` int64 [rows] and ``probabilities`` [rows, classes] for classes, ``value`` [rows] for numbers, ``label``
    (−1 or 1) and ``score`` [rows] for anomalies.
    """

    model: str
    version: str
    outputs: Mapping[str, Array] = field(repr=False)

    def __getitem__(self, output: str) -> Array:
        return self.outputs[output]


@dataclass(frozen=True, slots=True)
class Question:
    """The headers and the body of an inference."""

    headers: Mapping[str, str]
    body: bytes


def as_columns(rows: Any) -> tuple[Array, Mapping[str, Array] | None]:
    """``rows`` as an array, and by column where they have names (a pandas DataFrame)."""
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):
        return np.asarray(rows.to_numpy()), {str(name): np.asarray(rows[name]) for name in rows.columns}
    return np.asarray(rows), None


def question(
    rows: Array, columns: Mapping[str, Array] | None, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[str]
) -> Question:
    """``rows`` for a model that takes ``inputs``, as its metadata has them, asked for ``outputs``."""
    tensors = []
    if len(inputs) == 1 and inputs[0]["datatype"] != "BYTES":
        tensors.append((inputs[0], rows))
    else:
        tensors += [(spec, _column(rows, columns, spec["name"], at)) for at, spec in enumerate(inputs)]
    described, tail = [], []
    for spec, values in tensors:
        shape = [len(rows), *spec["shape"][1:]]
        data = _encoded(values, spec["datatype"])
        tail.append(data)
        parameters = {"binary_data_size": len(data)}
        described.append({"name": spec["name"], "datatype": spec["datatype"], "shape": shape, "parameters": parameters})
    asked: dict[str, Any] = {"inputs": described, "parameters": {"binary_data_output": True}}
    if outputs:
        asked["outputs"] = [{"name": name} for name in outputs]
    head = json.dumps(asked).encode()
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return Question(headers, b"".join((head, *tail)))


def prediction(reply: Reply) -> Prediction:
    """The prediction in an answer."""
    length = int(reply.headers.get(_HEADER_LENGTH.lower(), len(reply.body)))
    told = json.loads(reply.body[:length])
    outputs, at = {}, length
    for tensor in told["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(tensor["data"], dtype=_DTYPES[tensor["datatype"]])
        else:
            values = np.frombuffer(reply.body[at : at + size], dtype=_DTYPES[tensor["datatype"]])
            at += size
        outputs[tensor["name"]] = values.reshape(tensor["shape"])
    return Prediction(told["model_name"], told["model_version"], outputs)


def joined(parts: Sequence[Prediction]) -> Prediction:
    """The predictions of a batch that was split, in order."""
    first = parts[0]
    outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in first.outputs}
    return Prediction(first.model, first.version, outputs)


def _column(rows: Array, columns: Mapping[str, Array] | None, name: str, at: int) -> Array:
    return rows[:, at] if columns is None else columns[name]


def _encoded(values: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        dtype = np.dtype(_DTYPES[datatype])
        with np.errstate(invalid="ignore"):  # NaN, and what is past the type's reach, is found below
            made = np.ascontiguousarray(values, dtype=dtype)
        if dtype.kind in "iu" and values.dtype != dtype and not np.array_equal(made, values):
            raise BadRequest(f"the model takes {datatype}, and some of the numbers are none")
        return made.tobytes()
    texts = [str(value).encode() for value in values.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
