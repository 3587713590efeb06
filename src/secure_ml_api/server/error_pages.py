"""The answers that the server gives without the application: problem+json that echoes nothing."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

import orjson


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


def error_answer(status: int, detail: str, request_id: str, *, under_v2: bool = False) -> bytes:
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
        head.append("Retry-After: 1")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
