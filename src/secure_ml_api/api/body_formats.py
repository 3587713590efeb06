"""The formats beside JSON that predict routes read and write, as an OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from ..inference.deadline import TIMEOUT
from ..wire import envelopes
from ..wire.oip_binary import HEADER
from ..wire.question import ARROW, BINARY, CSV
from ..wire.row_formats import spoken_formats

_ROWS = "A header row with the features' names in any order, then one row a line."
_PREDICTIONS = "A header row, then one row a line: prediction, and label, probability_…, is_anomaly, score where given."
_PREDICTING = (envelopes.RowsRequest, envelopes.TensorFlowRequest, envelopes.InferRequest)
_TIMEOUT = (
    "Seconds, from the first byte of the request, for which the caller waits; then 504. It can only shorten the "
    "server's own deadline. The parameter `timeout` of an inference request does the same, in microseconds."
)
_LENGTH = "Bytes of JSON before the tensors' bytes; 0 for one row without any JSON, answered in binary."


def requests_beside_json(request: object) -> dict[str, Any]:
    """Media type → its content, for the bodies that an operation reads whose JSON is a ``request``."""
    return _contents(request, _ROWS)


def answers_beside_json(request: object) -> dict[str, Any]:
    """Media type → its content, for the answers that such an operation gives."""
    return _contents(request, _PREDICTIONS)


def header_parameters(request: object) -> list[dict[str, Any]]:
    """The headers that say how to read such a request, and how long its caller waits."""
    if request not in _PREDICTING:
        return []
    seconds = {"type": "string", "pattern": f"^({TIMEOUT.pattern})?$", "example": "0.5"}
    timeout = {"name": "Request-Timeout", "in": "header", "description": _TIMEOUT, "schema": seconds}
    if request is not envelopes.InferRequest:
        return [timeout]
    length = {"name": HEADER, "in": "header", "description": _LENGTH, "schema": {"type": "integer", "minimum": 0}}
    return [length, timeout]


def answer_headers(request: object) -> dict[str, Any]:
    """The headers that say how to read the answer to such a request."""
    description = "Bytes of JSON before the tensors' bytes, when some output is binary."
    schema = {"type": "integer", "minimum": 1}
    return {HEADER: {"description": description, "schema": schema}} if request is envelopes.InferRequest else {}


def _contents(request: object, columns: str) -> dict[str, Any]:
    if request is envelopes.InferRequest:
        return {BINARY: {}}
    if request is not envelopes.RowsRequest:
        return {}
    known: dict[str, Any] = {CSV: {"schema": {"type": "string", "description": columns}}, ARROW: {}}
    return {kind: known[kind] for kind in spoken_formats() if kind in known}
