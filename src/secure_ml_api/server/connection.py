"""One client's connection: the bytes that came so far, and until when more must come.

Bytes are gathered without blocking until a request can be worked on without waiting for its client: its header block,
and its body when that is short. Only then a thread takes it, so clients that stop half way cost no thread. What is
found here decides *when* a thread starts to parse and nothing else: gunicorn's parser reads the same bytes again and
alone decides what they mean.
"""

from __future__ import annotations

import re
import time
from math import inf
from socket import socket
from typing import Any

from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from ..errors import BodyTooSlow
from ..settings import ServerSettings

# A header block longer than this is refused before it is parsed; the fields that serve a purpose here fit in a quarter.
HEAD_LIMIT_BYTES = 32 * 1024
# Bodies up to this size are gathered before a thread starts; it bounds what connections without a thread can hold.
GATHERED_BODY_BYTES = 64 * 1024

_RECEIVE_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
# The client waits for a sign, or says the length as it goes: the thread has to talk to it.
_INTERACTIVE = re.compile(rb"\r\n(?:expect|transfer-encoding):", re.IGNORECASE)
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

    def __init__(self, cfg: Any, sock: socket, client: Any, server: Any, limits: ServerSettings) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.client = client
        self.server = server
        self.unreader = TimedUnreader(sock)
        self.parser = RequestParser(cfg, sock, client)
        self.parser.unreader = self.unreader
        self.deadline = inf
        self.arrived_at = inf
        self._limits = limits
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
        self._head_bytes = self._needed_bytes = -1
        self._was_under_v2 = False
        data = self.unreader.take_buffered()
        if data:
            self._take(data)

    def hand_over(self) -> None:
        """Give what has come to the parser; until ``resume`` the connection belongs to a thread."""
        self._was_under_v2 = self.is_under_v2
        self.unreader.unread(bytes(self._pending))
        self.unreader.in_body = False
        self.unreader.deadline = self.deadline
        self._pending.clear()

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

    def _head_ended(self, head_bytes: int) -> None:
        self._head_bytes = self._needed_bytes = head_bytes
        self.wait(self._limits.body_timeout_seconds)
        head = bytes(self._pending[:head_bytes])
        length = _LENGTH.search(head)
        if length is not None and int(length[1]) <= GATHERED_BODY_BYTES and not _INTERACTIVE.search(head):
            self._needed_bytes += int(length[1])
