"""The calls of both clients, as steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from .answers import Prediction, joined, prediction, question
from .errors import BadRequest, InvalidRows, ServerError, error_of
from .rows import Rows, Tensor, as_rows, fitted
from .steps import Request, Session, Steps

Progress = Callable[[int, int], None]
"""Told how many rows are answered, of how many."""


class Asked(NamedTuple):
    """What is to be predicted, and how."""

    model: str
    rows: Any
    version: str | int | None
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

    def metadata(self, model: str, version: str | int | None) -> Steps[dict[str, Any]]:
        reply = yield from self.session.call("GET", _path(model, version), {}, b"", self._timeout_seconds)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def predict(self, asked: Asked) -> Steps[Prediction]:
        model, version = asked.model, None if asked.version is None else str(asked.version)
        rows = as_rows(asked.rows)
        known, tensors = yield from self._fitted(rows, model, version)
        parts: list[Prediction] = []
        start, of = 0, len(rows.array)
        while start < of:
            end = min(start + self._most_rows, of)
            sent = question([tensor.piece(start, end) for tensor in tensors], asked.outputs)
            timeout, path = asked.timeout_seconds or self._timeout_seconds, f"{_path(model, version)}/infer"
            try:
                reply = yield from self.session.call("POST", path, sent.headers, sent.body, timeout)
            except BadRequest as error:
                if end - start > 1 and _is_too_much(error):
                    self._most_rows = (end - start) // 2
                    continue
                if not _is_about_rows(error):  # another version may serve by now, which takes other inputs
                    self._metadata.pop((model, version), None)
                raise self._placed(error, start) from None
            part = prediction(reply)
            if parts and part.version != parts[0].version:  # promoted meanwhile: one batch has one version
                raise ServerError(f"the version changed from {parts[0].version} to {part.version} within the batch")
            if rows.labels and not parts and (yield from self._takes_other(model, version, part.version, known)):
                version = part.version  # promoted since its metadata was read: its features may have another order
                known, tensors = yield from self._fitted(rows, model, version)
                continue
            parts.append(part)
            start = end
            if asked.progress is not None:
                asked.progress(start, of)
        return joined(parts)

    def _fitted(self, rows: Rows, model: str, version: str | None) -> Steps[tuple[dict[str, Any], list[Tensor]]]:
        """The metadata of ``model``, and ``rows`` as it takes them; rows are refused by fresh metadata alone."""
        known = self._metadata.get((model, version))
        if known is not None:
            try:
                return known, fitted(rows, known["inputs"])
            except BadRequest:
                pass  # of the version that served then; it may be another by now
        known = self._metadata[model, version] = yield from self.metadata(model, version)
        return known, fitted(rows, known["inputs"])

    def _takes_other(self, model: str, version: str | None, answered: str, known: dict[str, Any]) -> Steps[bool]:
        """Whether the version that ``answered`` takes other inputs than those in ``known``, by which it was asked."""
        if (known.get("parameters") or {}).get("version", answered) == answered:
            return False
        if (model, answered) not in self._metadata:
            self._metadata[model, answered] = yield from self.metadata(model, answered)
        found = self._metadata[model, version] = self._metadata[model, answered]
        return bool(found["inputs"] != known["inputs"])

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


def _is_about_rows(error: BadRequest) -> bool:
    """Whether some rows are refused, and not the request as a whole."""
    return isinstance(error, InvalidRows) and any(bad.row is not None for bad in error.rows)


def _path(model: str, version: str | int | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(str(version), safe='')}"
