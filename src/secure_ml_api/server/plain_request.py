"""A reader of plain requests, for the way on which every microsecond counts.

Gunicorn's parser decides what bytes mean. This reader knows a small part of HTTP, in which nothing can be taken in two
ways: one spelling of every piece, every field once, no transfer coding, no expectation. What lies inside it is read as
gunicorn's parser reads it (a test compares the two); for everything else the answer is None, and gunicorn's parser gets
the same bytes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from .host_field import names_its_host

# A path that means itself: nothing percent-encoded, no query, no second slash at the start.
_REQUEST_LINE = re.compile(r"(GET|POST) (/(?!/)[A-Za-z0-9._~:@!$&'()*+,;=/-]{0,2000}) HTTP/1\.1")
_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_LONGEST_LINE = 8700
_MOST_FIELDS = 60
# Fields that change what comes next on the connection, where the application is taken to be mounted, or how much work a
# body of so many bytes can be.
_PARTICULAR = frozenset(
    {
        "CONTENT-ENCODING",
        "EXPECT",
        "HTTP2-SETTINGS",
        "SCRIPT-NAME",
        "TE",
        "TRAILER",
        "TRANSFER-ENCODING",
        "UPGRADE",
    }
)

Environ = dict[str, Any]


class RequestLine(NamedTuple):
    """What a request asks for."""

    method: str
    path: str


def is_dense(fields: Environ) -> bool:
    """Whether a byte of the body may stand for many values: columns of Arrow hold a value in a bit, or share bytes."""
    return str(fields.get("CONTENT_TYPE", "")).startswith("application/vnd.apache.arrow")


@lru_cache(maxsize=1024)
def request_line(line: bytes) -> RequestLine | None:
    """The method and path of a plain request line, without its end."""
    match = _REQUEST_LINE.fullmatch(line.decode("latin-1"))
    return RequestLine(match[1], match[2]) if match else None


@lru_cache(maxsize=1024)
def _key_of(name: str) -> str | None:
    """Where a field goes in a WSGI environment; None for one that this reader leaves to gunicorn's."""
    upper = name.upper()
    if not _NAME.fullmatch(name) or upper in _PARTICULAR:
        return None
    if upper in ("CONTENT-TYPE", "CONTENT-LENGTH"):
        return upper.replace("-", "_")
    return "HTTP_" + upper.replace("-", "_")


def plain_fields(block: bytes) -> Environ | None:
    """The entries for the header fields in ``block``: their lines, each with its end, without the empty one.

    None when any of them is not plain, when there are two of one name, and when none names the host.
    """
    if block.translate(None, _PRINTABLE):
        return None
    lines = block.decode("ascii").split("\r\n")
    ends = len(lines) - 1
    if ends > _MOST_FIELDS or block.count(b"\r") != ends or block.count(b"\n") != ends or lines[-1]:
        return None
    fields: Environ = {}
    for line in lines[:-1]:
        name, colon, value = line.partition(":")
        key = _key_of(name)
        if key is None or not colon or key in fields or len(line) > _LONGEST_LINE:
            return None
        fields[key] = value.strip(" \t")
    length = fields.get("CONTENT_LENGTH", "0")
    if not length.isdigit() or len(length) > 9 or not names_its_host(fields.get("HTTP_HOST")):
        return None
    return fields


def wants_close(fields: Environ) -> bool | None:
    """Whether the client ends the connection after the answer; None when it says anything less plain."""
    option = fields.get("HTTP_CONNECTION", "keep-alive").lower()
    return option == "close" if option in ("close", "keep-alive") else None
