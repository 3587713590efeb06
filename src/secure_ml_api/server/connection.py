"""One client's connection: the bytes that came so far, and until when more must come.

Bytes are gathered without blocking until a request can be worked on without waiting for its client: its header block
and its body. Only then a thread takes it, so clients that stop half way cost no thread. Long bodies share a bounded
memory; one that does not fit in is read by a thread, as it comes. What is
found here decides *when* a thread starts to parse and nothing else: gunicorn's parser reads the same bytes again and
alone decides what they mean.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from math import inf
from socket import socket
from typing import Any

from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from ..errors import BodyTooSlow
from ..settings import ServerSettings
from .gathering import Chunks, Room

# A header block longer than this is refused before it is parsed; the fields that serve a purpose here fit in a quarter.
HEAD_LIMIT_BYTES = 32 * 1024
# What a connection may hold of a body in any case; what is more comes out of the room that all connections share.
GATHERED_BODY_BYTES = 64 * 1024

_RECEIVE_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECTATION = re.compile(rb" HTTP/1\.1\r\n(?:.*\r\n)?expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE | re.DOTALL)
_UNDER_V2 = re.compile(rb"[A-Z]+ /v2[/? ]")


class HeadTooSlow(Exception):
    """The header block did not arrive in time."""


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """Gunicorn's reader of a socket, with a deadline that ends every wait."""

    def __init__(self, sock: socket) -> None:
        super().__init__(sock)
        self.deadline = inf
        self.in_body = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes of the client; raises HeadTooSlow or BodyTooSlow at the deadline."""
        remaining = self.deadline - time.monotonic()
        if remaining > 0:
            self.sock.settimeout(min(remaining, 3600))
            try:
                data: bytes = super().chunk(size_hint)
            except TimeoutError:
                pass
            else:
                return data
        if self.in_body:
            raise BodyTooSlow("the body did not arrive in time")
        raise HeadTooSlow


class Connection:
    """A client's socket with what has been received and not yet been worked on; times are monotonic seconds."""

    def __init__(
        self, cfg: Any, sock: socket, client: Any, server: Any, limits: ServerSettings, *, room: Room | None = None
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.client = client
        self.server = server
        self.unreader = TimedUnreader(sock)
        self.parser = RequestParser(cfg, sock, client)
        self.parser.unreader = self.unreader
        self.deadline = inf
        self.arrived_at = inf
        self.was_told_to_continue = False
        self._limits = limits
        self._room = room or Room(limits.body_limit_bytes)
        self._taken_bytes = 0
        self._chunks: Chunks | None = None
        self._pending = bytearray()
        self._was_under_v2 = False
        self._head_bytes = -1
        self._needed_bytes = -1

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return not self._pending

    @property
    def is_too_long(self) -> bool:
        return self._head_bytes < 0 and len(self._pending) > HEAD_LIMIT_BYTES

    @property
    def is_complete(self) -> bool:
        """Whether a thread can work on what has come without waiting for the client."""
        return 0 <= self._needed_bytes <= len(self._pending)

    @property
    def has_head(self) -> bool:
        return self._head_bytes >= 0

    @property
    def is_under_v2(self) -> bool:
        """Whether the request that arrives or is answered is for a path under ``/v2``, whose errors look different."""
        return self._was_under_v2 or _UNDER_V2.match(self._pending) is not None

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass before the owner's patience ends."""
        self.deadline = time.monotonic() + seconds

    def receive(self) -> bool:
        """Take what has come, without waiting; False when the client has gone."""
        try:
            data = self.sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self._take(data)
        return True

    def resume(self) -> None:
        """After an answer: what was read beyond its request is the beginning of the next one."""
        self.sock.setblocking(False)
        self.release()
        self._begin_anew(self.unreader.take_buffered())

    def release(self) -> None:
        """Give back the room that the body took; to be called when it is not needed any more, as often as one likes."""
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0

    def hand_over(self) -> None:
        """Give what has come to the parser; until ``resume`` the connection belongs to a thread."""
        self._was_under_v2 = self.is_under_v2
        self.unreader.unread(bytes(self._pending))
        self.unreader.in_body = False
        self.unreader.deadline = self.deadline
        self._pending.clear()

    def _begin_anew(self, data: bytes) -> None:
        self._head_bytes = self._needed_bytes = -1
        self._was_under_v2 = self.was_told_to_continue = False
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
        self.wait(self._limits.body_timeout_seconds)
        head = bytes(self._pending[:head_bytes])
        length, is_chunked = _LENGTH.search(head), _CHUNKED.search(head) is not None
        if is_chunked == (length is not None):
            return  # there is no body, or something to refuse
        if length is not None and int(length[1]) <= self._limits.body_limit_bytes:
            self._needed_bytes += int(length[1])
        elif is_chunked:
            self._chunks = Chunks(head_bytes)
            self._needed_bytes = sys.maxsize
        self._body_grew(0)
        if b"xpect" in head.lower() and not self.is_complete:
            self._meet_expectation(head)

    def _body_grew(self, grown_bytes: int) -> None:
        """Take room for what has come, and see whether that is the whole body; without room the head is enough."""
        if self._chunks is not None:
            self._needed_bytes = self._chunks.end(self._pending) or sys.maxsize
        held_bytes = len(self._pending) - self._head_bytes
        if self.is_complete or held_bytes <= GATHERED_BODY_BYTES:
            return
        if held_bytes <= self._limits.body_limit_bytes and self._room.take(grown_bytes):
            self._taken_bytes += grown_bytes
        else:
            self._chunks, self._needed_bytes = None, self._head_bytes

    def _meet_expectation(self, head: bytes) -> None:
        """Tell a client that waits for it to send its body; what else it may expect is for the parser to refuse."""
        if not _EXPECTATION.search(head):
            self._chunks, self._needed_bytes = None, self._head_bytes
            return
        self.was_told_to_continue = True
        with suppress(OSError):  # a client that has gone is noticed when it is read from
            self.sock.send(_CONTINUE)
