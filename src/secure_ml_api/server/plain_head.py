"""Who asks for what, read from the header block of a plain request at little cost."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .connection import Connection
from .plain_request import plain_fields, request_line, wants_close


class PlainHead(NamedTuple):
    """What the header block of a plain request says."""

    path: str
    authorization: str | None
    body_bytes: int = 0


def plain_head(connection: Connection) -> PlainHead | None:
    """How the request begins whose header block has come.

    None when it is not plain, so that nobody here knows where the next one begins, and when it ends the connection.
    """
    head = _read(connection.head)
    return head if head is not None and head.body_bytes == connection.body_bytes else None


@lru_cache(maxsize=64)
def _read(head: bytes) -> PlainHead | None:
    """A caller who comes again and again sends the same."""
    line, _, block = head.partition(b"\r\n")
    asked = request_line(line)
    fields = plain_fields(block[:-2]) if asked is not None else None
    if asked is None or fields is None or wants_close(fields) is not False:
        return None
    return PlainHead(asked.path, fields.get("HTTP_AUTHORIZATION"), int(fields.get("CONTENT_LENGTH", 0)))
