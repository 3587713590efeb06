"""When the body of a request has come whole, and how much memory bodies and answers may take while they wait.

Found out without deciding what the bytes mean: what makes no sense here counts as the end, so that gunicorn's parser
gets to see it and refuses it.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from ..auth.client_authentication import FORM_LIMIT_BYTES

_SIZE = re.compile(rb"[0-9A-Fa-f]+")
_LONGEST_LINE = 4096
# Each costs microseconds to find, however short it is. Who sends each row in a chunk can send so many rows.
_MOST_CHUNKS = 16_384
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:", re.IGNORECASE)
_CONTINUE = re.compile(rb" HTTP/1\.1\r\n(?:.*\r\n)?expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE | re.DOTALL)
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_FORM = re.compile(rb"POST (?:https?://[^/]*)?/+oauth/", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)


class Declared(NamedTuple):
    """What a header block says of its body."""

    length: int | None
    """Bytes of a body that is not chunked; None where nothing is told."""
    is_chunked: bool
    is_clear: bool
    """False where there may be a body that this module cannot find the end of."""
    expectation: Literal["", "continue", "other"]
    """What the client waits for before it sends it."""


def declared_body(head: bytes) -> Declared:
    length, is_chunked = _LENGTH.search(head), _CHUNKED.search(head) is not None
    is_clear = is_chunked or length is not None or _BODY.search(head) is None
    if _EXPECT.search(head) is None:
        return Declared(int(length[1]) if length else None, is_chunked, is_clear, "")
    expectation: Literal["continue", "other"] = "continue" if _CONTINUE.search(head) else "other"
    return Declared(int(length[1]) if length else None, is_chunked, is_clear, expectation)


def longest_body_bytes(head: bytes, limit_bytes: int) -> int:
    """Up to what length a body is gathered, by how its request begins; what is longer is refused without being read.

    Who sends a form to the token endpoints has proved nothing, so that no more room is held for it than a form takes.
    """
    line, _, _ = head.partition(b"\r\n")
    is_form = _FORM.match(unquote_to_bytes(line) if b"%" in line else line)
    return min(FORM_LIMIT_BYTES, limit_bytes) if is_form else limit_bytes


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
    """Looks for the end of a chunked body that begins at ``begin``, in bytes that come bit by bit.

    A body is no longer than ``limit_bytes``.
    """

    def __init__(self, begin: int, limit_bytes: int) -> None:
        self._next = begin
        self._limit_bytes = limit_bytes
        self._found = 0
        self.is_odd = False
        """Whether something was no chunk, or one of a kind of which the parser may wait for the rest."""
        self.are_too_many = False
        self.is_too_large = False
        """Whether a chunk is told to be longer than any body: whatever of it comes, it is refused."""

    def end(self, received: bytearray) -> int | None:
        """Where the body ends in all that was ``received``; None when more has to come, and when it will be refused.

        What is odd is an end, too: it is for gunicorn's parser, which refuses it or reads on.
        """
        while self._next <= len(received) and not self.are_too_many:
            line_end = received.find(b"\r\n", self._next)
            if line_end < 0:
                return self._unended(len(received) - self._next, received)
            size = _SIZE.fullmatch(received[self._next : line_end].partition(b";")[0].strip())
            if size is None:
                return self._odd(received)
            size_bytes = int(size[0], 16)
            if size_bytes > self._limit_bytes:
                self.is_too_large = True
                return None
            if size_bytes == 0:
                end = received.find(b"\r\n\r\n", line_end)
                return end + 4 if end >= 0 else self._unended(len(received) - line_end, received)
            after = line_end + 2 + size_bytes
            if not b"\r\n".startswith(received[after : after + 2]):
                return self._odd(received)
            self._next = after + 2
            self._found += 1
            self.are_too_many = self._found > _MOST_CHUNKS
        return None

    def _unended(self, line_bytes: int, received: bytearray) -> int | None:
        return None if line_bytes < _LONGEST_LINE else self._odd(received)

    def _odd(self, received: bytearray) -> int:
        self.is_odd = True
        return len(received)
