"""What can go wrong, as callers tell it apart.

ClientError
├── AuthenticationFailed   the credentials, or the token made with them, are refused (401)
├── PermissionDenied       the client lacks a scope (403)
├── ModelNotFound          no such model or version (404)
├── BadRequest             the request is not taken (other 4xx, or what is no rows)
│   └── InvalidRows        some rows do not fit the model; ``rows`` says which and why (422, or found before)
├── QuotaExceeded          a quota is used up for longer than the call may take (429)
├── Unavailable            the server does not answer, or has no room, for as long (503, connections)
├── DeadlineExceeded       the call took longer than its time-out (504, or no answer in time)
└── ServerError            the server failed (other 5xx)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class ClientError(Exception):
    """``status`` is that of the answer, 0 without one; ``problem`` its problem document (RFC 9457)."""

    def __init__(self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = dict(problem or {})

    @property
    def request_id(self) -> str | None:
        """By which the server's operators find the request in their log."""
        found: str | None = self.problem.get("request_id")
        return found


class AuthenticationFailed(ClientError):
    pass


class PermissionDenied(ClientError):
    pass


class ModelNotFound(ClientError):
    pass


class BadRequest(ClientError):
    pass


class BadRow(NamedTuple):
    """One thing that is wrong: with which row, counted in what the caller sent, and with which feature of it."""

    row: int | None
    feature: str | None
    detail: str


class InvalidRows(BadRequest):
    """``rows`` are the first hundred at most."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any], rows: Sequence[BadRow]) -> None:
        super().__init__(message, status, problem)
        self.rows = tuple(rows)


class QuotaExceeded(ClientError):
    """``retry_after_seconds`` is when the server will take requests again."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any], retry_after_seconds: float) -> None:
        super().__init__(message, status, problem)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ClientError):
    pass


class DeadlineExceeded(ClientError):
    pass


class ServerError(ClientError):
    pass


_BY_STATUS: dict[int, type[ClientError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: ModelNotFound,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(status: int, body: bytes, retry_after_seconds: float | None, first_row: int = 0) -> ClientError:
    """The error for an answer that is none; rows in it are counted from ``first_row``."""
    problem = _problem(body)
    message = str(problem.get("detail") or problem.get("error_description") or problem.get("title") or f"HTTP {status}")
    if status == 429:
        return QuotaExceeded(message, status, problem, retry_after_seconds or 1.0)
    if status == 422:
        return InvalidRows(message, status, problem, [_bad_row(each, first_row) for each in problem.get("errors", [])])
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else BadRequest)
    return kind(message, status, problem)


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _bad_row(told: Mapping[str, Any], first_row: int) -> BadRow:
    row = told.get("row")
    return BadRow(None if row is None else row + first_row, told.get("feature"), str(told.get("detail", "")))
