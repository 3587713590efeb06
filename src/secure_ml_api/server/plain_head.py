"""Who asks for what, read from the header block of a plain request at little cost."""

from __future__ import annotations

from typing import NamedTuple

from .connection import Connection
from .plain_request import plain_fields, request_line, wants_close


class PlainHead(NamedTuple):
    """What the header block of a plain request says."""

    path: str
    authorization: str | None


def plain_head(connection: Connection) -> PlainHead | None:
    """How the request begins whose header block has come.

    None when it is not plain, so that nobody here knows where the next one begins, and when it ends the connection.
    """
    line, _, block = connection.head.partition(b"\r\n")
    asked = request_line(line)
    fields = plain_fields(block[:-2]) if asked is not None else None
    if asked is None or fields is None or wants_close(fields) is not False:
        return None
    if int(fields.get("CONTENT_LENGTH", 0)) != connection.body_bytes:
        return None
    return PlainHead(asked.path, fields.get("HTTP_AUTHORIZATION"))
