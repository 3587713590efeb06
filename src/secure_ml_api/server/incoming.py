"""What has come of a client's next request: its header block, and as much of its body as may be held.

Bytes are gathered without blocking until a request can be worked on without waiting for its client. Long bodies share a
bounded memory; one that does not fit in is read by a thread, as it comes. What is found here decides *when* a thread
starts to parse and nothing else: gunicorn's parser reads the same bytes again and alone decides what they mean.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from math import inf
from socket import socket

from ..setting_sections import ServerSettings
from .gathering import Chunks, Room, declared_body, longest_body_bytes
from .outgoing import Outgoing
from .unreader import RECEIVE_BYTES

# A header block longer than this is refused before it is parsed; the fields that serve a purpose here fit in a quarter.
HEAD_LIMIT_BYTES = 32 * 1024
# What a connection may hold of a body in any case; what is more comes out of the room that all connections share.
GATHERED_BODY_BYTES = 64 * 1024
# A long body is taken in pieces of up to so much.
_LARGEST_RECEIVE_BYTES = 512 * 1024

_END_OF_HEAD = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNDER_V2 = re.compile(rb"[A-Z]+ /v2[/? ]")


class Incoming(Outgoing):
    """A client's socket with what has been received and not yet been worked on; times are monotonic seconds."""

    def __init__(self, sock: socket, room: Room, limits: ServerSettings) -> None:
        super().__init__(sock, room)
        self.deadline = self.arrived_at = inf
        self.was_told_to_continue = False
        self.is_cut_short = False
        self._limits = limits
        self._taken_bytes = 0
        self._chunks: Chunks | None = None
        self._pending = bytearray()
        self._was_under_v2 = False
        self._head_bytes = -1
        self._needed_bytes = -1
        self._longest_body_bytes = limits.body_limit_bytes
        # Most requests on a connection have the same head as the one before, which need not be searched again.
        self._head_before = b""
        self._length_before = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return not self._pending

    @property
    def is_too_long(self) -> bool:
        return (self._head_bytes if self.has_head else len(self._pending)) > HEAD_LIMIT_BYTES

    @property
    def chunks_refused_with(self) -> int | None:
        """The status that refuses the chunks which have come, where they are too many or one is too long."""
        if self._chunks is None:
            return None
        return 413 if self._chunks.is_too_large else 400 if self._chunks.are_too_many else None

    @property
    def is_complete(self) -> bool:
        """Whether a thread can work on what has come without waiting for the client."""
        return 0 <= self._needed_bytes <= len(self._pending)

    @property
    def head(self) -> bytes:
        """The header block, with the empty line that ends it; empty until it has come."""
        return bytes(self._pending[: max(0, self._head_bytes)])

    @property
    def body_bytes(self) -> int:
        """The length of the body, where the header block tells it."""
        return self._needed_bytes - self._head_bytes

    @property
    def has_head(self) -> bool:
        return self._head_bytes >= 0

    @property
    def is_under_v2(self) -> bool:
        """Whether the request that arrives or is answered is for a path under ``/v2``, whose errors look different."""
        return self._was_under_v2 or _UNDER_V2.match(self._pending) is not None

    def skip(self) -> None:
        """Drop the request that has come whole: it was answered without being looked at."""
        rest = b"" if len(self._pending) == self._needed_bytes else bytes(self._pending[self._needed_bytes :])
        self.release()
        self._pending.clear()
        self._begin_anew(rest)

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass before the owner's patience ends."""
        self.deadline = time.monotonic() + seconds

    def receive(self) -> bool:
        """Take what has come, without waiting; False when the client has gone."""
        missing_bytes = min(self._needed_bytes - len(self._pending), _LARGEST_RECEIVE_BYTES)
        try:
            data = self.sock.recv(max(RECEIVE_BYTES, missing_bytes))
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self._take(data)
        return True

    def release(self) -> None:
        """Give back the room that the body took; to be called when it is not needed any more, as often as one likes."""
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0

    def _begin_anew(self, data: bytes) -> None:
        self._head_bytes = self._needed_bytes = -1
        self._was_under_v2 = self.was_told_to_continue = self.is_cut_short = False
        self._longest_body_bytes = self._limits.body_limit_bytes
        self._chunks = None
        if data:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if not self._pending:
            self.arrived_at = time.monotonic()
            self.deadline = self.arrived_at + self._limits.header_timeout_seconds
        searched = max(0, len(self._pending) - len(_END_OF_HEAD) + 1)
        self._pending += data
        if self._head_bytes < 0:
            end = self._pending.find(_END_OF_HEAD, searched)
            if end >= 0:
                self._head_ended(end + len(_END_OF_HEAD))
        else:
            self._body_grew(len(data))

    def _head_ended(self, head_bytes: int) -> None:
        self._head_bytes = self._needed_bytes = head_bytes
        if self.is_too_long:
            self._needed_bytes = sys.maxsize
            return
        self.wait(self._limits.body_timeout_seconds)
        head = bytes(self._pending[:head_bytes])
        if head == self._head_before:
            self._needed_bytes += self._length_before
            self._body_grew(0)
            return
        declared = declared_body(head)
        if declared.is_chunked == (declared.length is not None):
            self.is_cut_short = not declared.is_clear
            return  # there is no body, or something to refuse
        self._longest_body_bytes = longest_body_bytes(head, self._limits.body_limit_bytes)
        if declared.length is not None and declared.length <= self._longest_body_bytes:
            self._needed_bytes += declared.length
            if not declared.expectation:
                self._head_before, self._length_before = head, declared.length
        elif declared.is_chunked:
            self._chunks = Chunks(head_bytes, self._longest_body_bytes)
            self._needed_bytes = sys.maxsize
        self._body_grew(0)
        if declared.expectation and not self.is_complete:
            self._meet_expectation(declared.expectation)

    def _body_grew(self, grown_bytes: int) -> None:
        """Take room for what has come, and see whether that is the whole body; without room the head is enough."""
        if self._chunks is not None:
            self._needed_bytes = self._chunks.end(self._pending) or sys.maxsize
            self.is_cut_short = self._chunks.is_odd
        held_bytes = len(self._pending) - self._head_bytes
        if self.is_complete or held_bytes <= GATHERED_BODY_BYTES:
            return
        if held_bytes <= self._longest_body_bytes and self._room.take(grown_bytes):
            self._taken_bytes += grown_bytes
        else:
            self._cut_short()

    def _cut_short(self) -> None:
        """Leave the rest of the body to a thread."""
        self._chunks, self._needed_bytes = None, self._head_bytes
        self.is_cut_short = True

    def _meet_expectation(self, expectation: str) -> None:
        """Tell a client that waits for it to send its body; what else it may expect is for the parser to refuse."""
        if expectation != "continue":
            self._cut_short()
            return
        self.was_told_to_continue = True
        with suppress(OSError):  # a client that has gone is noticed when it is read from
            self.sock.send(_CONTINUE)
