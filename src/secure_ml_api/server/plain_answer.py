"""A WSGI application's answer to a plain request, as the bytes of one whole answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

# Answers that have no body and say nothing of its length (RFC 9110 section 8.6).
_BODILESS = ("1", "204", "304")
_LENGTH = "\r\nContent-Length: "


class UnfitAnswer(Exception):
    """The application's answer cannot be sent as HTTP."""


def whole_answer(
    app: Callable[..., Iterable[bytes]], environ: dict[str, Any], is_last: Callable[[], bool]
) -> tuple[bytes, bool]:
    """The bytes of the answer of ``app``, and whether it is the last on its connection.

    ``is_last`` is asked when the application is done, as the server may have been told to stop meanwhile. Raises what
    the application raises, and UnfitAnswer for a header field that would end early.
    """
    begun: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        begun[:] = status, headers
        return written.append

    chunks = app(environ, start_response)
    try:
        body = b"".join((*written, *chunks))
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = begun
    closes = is_last()
    return composed(status, headers, body, closes=closes), closes


def composed(status: str, headers: list[tuple[str, str]], body: bytes, *, closes: bool) -> bytes:
    """The bytes of an answer; raises UnfitAnswer for a header field that would end early."""
    fields = "".join([f"\r\n{name}: {value}" for name, value in headers])
    if fields.count("\r") != len(headers) or fields.count("\n") != len(headers) or "\n" in status or "\r" in status:
        raise UnfitAnswer("a header field holds the end of a line")
    if _LENGTH not in fields and _LENGTH.lower() not in fields.lower() and not status.startswith(_BODILESS):
        fields += f"{_LENGTH}{len(body)}"
    option = "close" if closes else "keep-alive"
    head = f"HTTP/1.1 {status}\r\nDate: {_date(int(time.time()))}\r\nConnection: {option}{fields}\r\n\r\n"
    return head.encode("latin-1") + body


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
