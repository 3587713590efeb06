"""One log line: one JSON object in UTF-8, short enough that a pipe takes it whole, with nothing in it that bites.

Callers reach the log with paths, names and error texts. JSON escapes the control characters that could forge a second
line; the rest that a terminal would act on, or that would turn the reading direction, is escaped here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

# A write of at most PIPE_BUF bytes to a pipe is never mixed with another process's: the workers share one stderr.
MAX_LINE_BYTES = 4096
_STDERR = 2

_UNSAFE = re.compile("[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

# The last net, under rooms that never log a credential on purpose. It looks for the shapes of credentials: a scheme
# with a value, a JWT, a value assigned to a telling word, a password in a URL. Most lines hold none of the words.
_SUSPECTS = (b"bearer", b"basic", b"eyj", b"secret", b"passw", b"token", b"authoriz", b"assertion", b"://")
_CREDENTIALS = re.compile(
    rb"""(\b(?:bearer|basic)[\ :=]+)[A-Za-z0-9._~+/=-]{6,}
    |()\beyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)*
    |((?:secret|passw(?:or)?d|token|authorization|assertion)\\?["']?\s*[=:]\s*\\?["']?(?:(?:bearer|basic)\s+)?)(?!\[)[^\s"'&,\\}]{6,}
    |(://[^/\s:@"]*:)[^@\s/"]+(?=@)""",
    re.IGNORECASE | re.VERBOSE,
)


def write_line(fields: Mapping[str, Any]) -> None:
    """Write ``fields`` as one line to stderr."""
    write_encoded(encode(fields))


def write_encoded(line: bytes) -> None:
    """Write a line that is encoded already; a log that cannot be written is lost and harms nobody."""
    try:
        while line:
            line = line[os.write(_STDERR, line) :]
    except OSError:
        pass


def write_together(lines: Iterable[bytes]) -> None:
    """``write_encoded`` for several lines, with as few writes as keep each of them whole."""
    waiting = b""
    for line in lines:
        if len(waiting) + len(line) > MAX_LINE_BYTES and waiting:
            write_encoded(waiting)
            waiting = b""
        waiting += line
    if waiting:
        write_encoded(waiting)


def encode(fields: Mapping[str, Any]) -> bytes:
    """``fields`` as one JSON object and a newline, at most MAX_LINE_BYTES long: long texts lose their middle."""
    line = _encode(fields)
    for longest in (1200, 300, 60):
        if len(line) <= MAX_LINE_BYTES:
            return line
        line = _encode({key: _shortened(value, longest) for key, value in fields.items()})
    if len(line) <= MAX_LINE_BYTES:
        return line
    kept = ("time", "level", "logger", "message", "request_id")
    return _encode({key: _shortened(fields[key], 60) for key in kept if key in fields})


def _encode(fields: Mapping[str, Any]) -> bytes:
    try:
        line = orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except (TypeError, ValueError):  # half a surrogate pair, a huge integer, a key that is no string
        plain = {str(key): str(value) for key, value in fields.items()}
        line = json.dumps(plain).encode() + b"\n"
    if not line.isascii() or b"\x7f" in line:
        line = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
    lowered = line.lower()
    if any(word in lowered for word in _SUSPECTS):
        line = _CREDENTIALS.sub(_redacted, line)
    return line


def _redacted(found: re.Match[bytes]) -> bytes:
    kept = b"".join(group for group in found.groups() if group)
    is_member = kept.endswith(b'":') and not kept.endswith(b'\\":')  # of a JSON object, and no text: a number
    return kept + (b'"[redacted]"' if is_member else b"[redacted]")


def _shortened(value: object, longest: int) -> object:
    """``value``, or its text with the middle left out: the end of a traceback says more than its beginning."""
    text = value if isinstance(value, str) else None
    if isinstance(value, list | tuple | dict | set | bytes):
        text = str(value)
    if text is None or len(text) <= longest:
        return value
    tail = longest * 2 // 3
    return f"{text[: longest - tail]} … {text[-tail:]}"
