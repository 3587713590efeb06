"""A JSON body in two: its large arrays of numbers, as text, and the small envelope around them.

Replacing an array in a JSON text by a string leaves a JSON text exactly when the array stood where a value may stand.
So when the envelope, with a mark in the place of each array, reads as JSON, and each array reads as JSON by itself,
the whole body is JSON and means the envelope with the arrays in the places of the marks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(?=\[)")
# A character that JSON allows in strings and nobody sends. Without escapes a string equals its text, so marks cannot be
# forged: an envelope with an escape, or with this character anywhere else, is not taken apart.
_MARK = "\x7f"
_MARK_BYTE = _MARK.encode()
_MOST_ARRAYS = 4096
_MOST_ENVELOPE_BYTES = 256 * 1024


class Excerpt(NamedTuple):
    """``envelope`` is JSON text if the body was; ``mark(i)`` stands in it where ``arrays[i]`` stood."""

    envelope: bytes
    arrays: tuple[bytes, ...]


def mark(index: int) -> str:
    """The string that stands for the array ``index``."""
    return f"{_MARK}{index}"


def excerpt(body: bytes, key: bytes) -> Excerpt | None:
    """``body`` without the arrays that follow ``key`` (given with its quotes); None when it is better read whole.

    An array ends before the next quote or brace, so one that holds a string or an object is not cut out whole, and
    will not read as JSON. Each byte is looked at a few times, whatever the body.
    """
    arrays: list[bytes] = []
    parts: list[bytes] = []
    taken = 0
    at = body.find(key)
    while at != -1:
        opening = _OPENING.match(body, at + len(key))
        if opening is None:
            at = body.find(key, at + len(key))
            continue
        start = opening.end()
        quote = body.find(b'"', start)
        limit = len(body) if quote == -1 else quote
        brace = body.find(b"}", start, limit)
        end = body.rfind(b"]", start, limit if brace == -1 else brace) + 1
        if end == 0 or len(arrays) == _MOST_ARRAYS:
            return None
        parts.append(body[taken:start])
        parts.append(b'"%b%d"' % (_MARK_BYTE, len(arrays)))
        arrays.append(body[start:end])
        taken = end
        at = body.find(key, end)
    parts.append(body[taken:])
    envelope = b"".join(parts)
    if (
        not arrays
        or len(envelope) > _MOST_ENVELOPE_BYTES
        or b"\\" in envelope
        or envelope.count(_MARK_BYTE) != len(arrays)
    ):
        return None
    return Excerpt(envelope, tuple(arrays))
