"""The answers that the server gives without the application: problem+json that echoes nothing."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson

_FULL = "this worker has all the requests that it can answer in time"


def problem_body(status: int, detail: str, request_id: str, *, under_v2: bool = False) -> bytes:
    """RFC 9457 fields; under ``/v2`` also ``error``, which clients of the Open Inference Protocol read."""
    fields = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if under_v2:
        fields["error"] = detail
    return orjson.dumps(fields)


def overloaded_answer(request_id: str, retry_after_seconds: int, *, under_v2: bool = False) -> bytes:
    """A whole HTTP/1.1 answer with 503 after which the connection goes on; it costs a microsecond."""
    made = _overloaded(int(time.time()), retry_after_seconds, len(request_id), under_v2)
    return made.replace(_place(len(request_id)), request_id.encode("ascii"))


@lru_cache(maxsize=64)
def _overloaded(second: int, retry_after_seconds: int, id_length: int, under_v2: bool) -> bytes:
    place = _place(id_length).decode()
    fields = {"type": "/docs#overloaded", "title": "Overloaded", "status": 503, "detail": _FULL, "request_id": place}
    if under_v2:
        fields["error"] = _FULL
    body = orjson.dumps(fields)
    head = [
        "HTTP/1.1 503 SERVICE UNAVAILABLE",
        f"Date: {formatdate(second, usegmt=True)}",
        "Connection: keep-alive",
        f"Content-Type: {'application/json' if under_v2 else 'application/problem+json'}",
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


def error_answer(
    status: int, detail: str, request_id: str, *, under_v2: bool = False, retry_after_seconds: int = 1
) -> bytes:
    """A whole HTTP/1.1 answer that closes the connection."""
    body = problem_body(status, detail, request_id, under_v2=under_v2)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Type: {'application/json' if under_v2 else 'application/problem+json'}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {request_id}",
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head.append(f"Retry-After: {retry_after_seconds}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
