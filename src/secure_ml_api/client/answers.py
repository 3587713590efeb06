"""Rows and predictions as they travel: the binary tensors of the Open Inference Protocol, or rows of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .cells import DTYPES, Array
from .rows import Tensor
from .steps import Reply

_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Prediction(Mapping[str, Array]):
    """What ``version`` of ``model`` answered: ``outputs`` by name, each with one entry or row for each row asked.

    ``label`` int64 [rows] and ``probabilities`` [rows, classes] for classes, ``value`` [rows] for numbers, ``label``
    (−1 or 1) and ``score`` [rows] for anomalies.
    """

    model: str
    version: str
    outputs: Mapping[str, Array] = field(repr=False)

    def __getitem__(self, output: str) -> Array:
        return self.outputs[output]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)


@dataclass(frozen=True, slots=True)
class Question:
    """The headers and the body of an inference."""

    headers: Mapping[str, str]
    body: bytes


def question(tensors: Sequence[Tensor], outputs: Sequence[str]) -> Question:
    """``tensors`` as they travel, asked for ``outputs``."""
    described, tail = [], []
    for name, datatype, values in tensors:
        data = _encoded(values)
        tail.append(data)
        parameters = {"binary_data_size": len(data)}
        described.append({"name": name, "datatype": datatype, "shape": list(values.shape), "parameters": parameters})
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
            values = np.array(tensor["data"], dtype=DTYPES[tensor["datatype"]])
        else:
            values = np.frombuffer(reply.body[at : at + size], dtype=DTYPES[tensor["datatype"]])
            at += size
        outputs[tensor["name"]] = values.reshape(tensor["shape"])
    return Prediction(told["model_name"], told["model_version"], outputs)


def joined(parts: Sequence[Prediction]) -> Prediction:
    """The predictions of a batch that was split, in order."""
    first = parts[0]
    outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in first.outputs}
    return Prediction(first.model, first.version, outputs)


def _encoded(values: Array) -> bytes:
    if values.dtype.kind != "O":
        return values.tobytes()
    return b"".join(len(text).to_bytes(4, "little") + text for text in values.ravel())
