"""The calls of both clients, as steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from .answers import Prediction, as_columns, joined, prediction, question
from .errors import BadRequest, InvalidRows, ServerError, error_of
from .steps import Request, Session, Steps

Progress = Callable[[int, int], None]
"""Told how many rows are answered, of how many."""


class Asked(NamedTuple):
    """What is to be predicted, and how."""

    model: str
    rows: Any
    version: str | None
    outputs: Sequence[str]
    timeout_seconds: float | None
    progress: Progress | None


class Calls:
    """``most_rows`` is the largest number of rows that is sent at once; the server's own bound is found out."""

    def __init__(self, session: Session, timeout_seconds: float, most_rows: int) -> None:
        self.session = session
        self._timeout_seconds = timeout_seconds
        self._most_rows = most_rows
        self._metadata: dict[tuple[str, str | None], dict[str, Any]] = {}

    def health(self, path: str) -> Steps[bool]:
        reply = yield Request("GET", path, {}, b"", self._timeout_seconds)
        return reply is not None and reply.status == 200

    def metadata(self, model: str, version: str | None) -> Steps[dict[str, Any]]:
        reply = yield from self.session.call("GET", _path(model, version), {}, b"", self._timeout_seconds)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def predict(self, asked: Asked) -> Steps[Prediction]:
        model, version = asked.model, asked.version
        array, columns = as_columns(asked.rows)
        if array.ndim < 2 or not len(array):
            raise BadRequest(f"rows are an array [rows, features] of one row at least, not {list(array.shape)}")
        key = (model, version)
        if key not in self._metadata:
            self._metadata[key] = yield from self.metadata(model, version)
        inputs = self._metadata[key]["inputs"]
        parts: list[Prediction] = []
        start, path = 0, f"{_path(model, version)}/infer"
        while start < len(array):
            end = min(start + self._most_rows, len(array))
            part = None if columns is None else {name: values[start:end] for name, values in columns.items()}
            sent = question(array[start:end], part, inputs, asked.outputs)
            timeout = asked.timeout_seconds or self._timeout_seconds
            try:
                reply = yield from self.session.call("POST", path, sent.headers, sent.body, timeout)
            except BadRequest as error:
                if end - start > 1 and _is_too_much(error):
                    self._most_rows = (end - start) // 2
                    continue
                raise self._placed(error, start) from None
            parts.append(prediction(reply))
            if parts[-1].version != parts[0].version:  # promoted meanwhile: one batch has one version
                raise ServerError(
                    f"the version changed from {parts[0].version} to {parts[-1].version} within the batch"
                )
            start = end
            if asked.progress is not None:
                asked.progress(start, len(array))
        return joined(parts)

    @staticmethod
    def _placed(error: BadRequest, first_row: int) -> BadRequest:
        """``error`` with its rows counted in all that the caller sent."""
        if not isinstance(error, InvalidRows) or not first_row:
            return error
        placed = error_of(error.status, json.dumps(error.problem).encode(), None, first_row)
        return placed if isinstance(placed, BadRequest) else error


def _is_too_much(error: BadRequest) -> bool:
    """Whether fewer rows at once would be taken."""
    return error.status == 413 or (isinstance(error, InvalidRows) and not error.rows and "rows" in str(error))


def _path(model: str, version: str | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"
