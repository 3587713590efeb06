"""The answers that the server gives without the application: problem+json that echoes nothing."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import orjson

from ..api.problems import PROBLEM_JSON, STATUSES, TITLES
from ..errors import BodyTooSlow, DeadlineExceeded, Overloaded, Refusal
from ..wire.question import JSON


class Problem(NamedTuple):
    """A row of the table of problems: its reason is a metric label, too."""

    status: int
    reason: str
    title: str
    detail: str


def _as_refused(refusal: type[Refusal], detail: str) -> Problem:
    """What the application answers for ``refusal``."""
    return Problem(STATUSES[refusal][0], refusal.reason, STATUSES[refusal][1], detail)


OVERLOADED = _as_refused(Overloaded, "this worker has all the requests that it can answer in time")
SLOW_BODY = _as_refused(BodyTooSlow, "the body did not arrive in time")
_PROBLEMS = {
    **{status: Problem(status, *told) for status, told in TITLES.items()},
    503: OVERLOADED,
    504: _as_refused(DeadlineExceeded, "the deadline of the request passed"),
}


def problem_of(status: int, *, has_head: bool = False) -> Problem:
    """What the server says with ``status``; to who has sent the header block, 408 is about the body."""
    return SLOW_BODY if has_head and status == SLOW_BODY.status else _PROBLEMS[status]


def content_type(*, under_v2: bool) -> str:
    return JSON if under_v2 else PROBLEM_JSON


def problem_body(problem: Problem, request_id: str, *, under_v2: bool = False) -> bytes:
    """RFC 9457 fields; under ``/v2`` also ``error``, which clients of the Open Inference Protocol read."""
    fields = {
        "type": f"/docs#{problem.reason}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if under_v2:
        fields["error"] = problem.detail
    return orjson.dumps(fields)


def overloaded_answer(request_id: str, retry_after_seconds: int, *, under_v2: bool = False) -> bytes:
    """A whole HTTP/1.1 answer with 503 after which the connection goes on; it costs a microsecond."""
    made = _overloaded(int(time.time()), retry_after_seconds, len(request_id), under_v2)
    return made.replace(_place(len(request_id)), request_id.encode("ascii"))


@lru_cache(maxsize=64)
def _overloaded(second: int, retry_after_seconds: int, id_length: int, under_v2: bool) -> bytes:
    place = _place(id_length).decode()
    body = problem_body(OVERLOADED, place, under_v2=under_v2)
    head = [
        "HTTP/1.1 503 SERVICE UNAVAILABLE",
        f"Date: {formatdate(second, usegmt=True)}",
        "Connection: keep-alive",
        f"Content-Type: {content_type(under_v2=under_v2)}",
        f"Retry-After: {retry_after_seconds}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {place}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _place(length: int) -> bytes:
    """Where an id of ``length`` goes."""
    return b"?" * length


def error_answer(problem: Problem, request_id: str, *, under_v2: bool = False, retry_after_seconds: int = 1) -> bytes:
    """A whole HTTP/1.1 answer that closes the connection."""
    body = problem_body(problem, request_id, under_v2=under_v2)
    head = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Type: {content_type(under_v2=under_v2)}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {request_id}",
    ]
    if problem is OVERLOADED:
        head.append(f"Retry-After: {retry_after_seconds}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
