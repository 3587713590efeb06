"""When the body of a request has come whole, and how much memory bodies and answers may take while they wait.

Found out without deciding what the bytes mean: what makes no sense here counts as the end, so that gunicorn's parser
gets to see it and refuses it.
"""

from __future__ import annotations

import re
from threading import Lock

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_LONGEST_LINE = 4096
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)


def declared_body(head: bytes) -> tuple[int | None, bool]:
    """The length in bytes that a header block tells of its body, and whether the body is chunked."""
    length = _LENGTH.search(head)
    return int(length[1]) if length is not None else None, _CHUNKED.search(head) is not None


class Room:
    """Memory for bodies and answers that are on their way to or from one worker; safe to use in threads."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        self._lock = Lock()

    def take(self, wanted_bytes: int) -> bool:
        """Take ``wanted_bytes``, or nothing and False when so much is not free."""
        with self._lock:
            if wanted_bytes > self.free_bytes:
                return False
            self.free_bytes -= wanted_bytes
            return True

    def give_back(self, taken_bytes: int) -> None:
        if taken_bytes:
            with self._lock:
                self.free_bytes += taken_bytes


class Chunks:
    """Looks for the end of a chunked body that begins at ``begin``, in bytes that come bit by bit."""

    def __init__(self, begin: int) -> None:
        self._next = begin

    def end(self, received: bytearray) -> int | None:
        """Where the body ends in all that was ``received``; None when more has to come."""
        while self._next <= len(received):
            line_end = received.find(b"\r\n", self._next)
            if line_end < 0:
                return None if len(received) - self._next < _LONGEST_LINE else len(received)
            size = _SIZE.fullmatch(received[self._next : line_end].partition(b";")[0].strip())
            if size is None:
                return len(received)
            if int(size[0], 16) == 0:
                end = received.find(b"\r\n\r\n", line_end)
                return end + 4 if end >= 0 else None if len(received) - line_end < _LONGEST_LINE else len(received)
            after = line_end + 2 + int(size[0], 16)
            if not b"\r\n".startswith(received[after : after + 2]):
                return len(received)
            self._next = after + 2
        return None
