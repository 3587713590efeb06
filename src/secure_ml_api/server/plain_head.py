"""Who asks for what, read from the header block of a plain request at little cost."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .plain_request import plain_fields, request_line, wants_close

_PROBES = "/v2/health/"


class PlainHead(NamedTuple):
    """What the header block of a plain request says."""

    path: str
    authorization: str | None
    body_bytes: int = 0

    @property
    def is_probe(self) -> bool:
        """Whether it asks how the server is."""
        return self.path.startswith(_PROBES)


@lru_cache(maxsize=64)
def plain_head(head: bytes) -> PlainHead | None:
    """How a request begins, by its header block; a caller who comes again and again sends the same.

    None when it is not plain, so that nobody here knows where the next one begins, and when it ends the connection.
    """
    line, _, block = head.partition(b"\r\n")
    asked = request_line(line)
    fields = plain_fields(block[:-2]) if asked is not None else None
    if asked is None or fields is None or wants_close(fields) is not False:
        return None
    return PlainHead(asked.path, fields.get("HTTP_AUTHORIZATION"), int(fields.get("CONTENT_LENGTH", 0)))
