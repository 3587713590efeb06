"""Requests as the bytes that go over the wire."""

from __future__ import annotations

import json


def post(path: str, payload: object, token: str) -> bytes:
    """The bytes of a POST of ``payload``: as JSON, or as it is when it is bytes already."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def get(path: str, token: str = "") -> bytes:
    """The bytes of a GET."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n".encode("ascii")
