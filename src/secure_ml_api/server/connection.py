"""One client's connection: the bytes that came so far, and until when more must come.

Bytes are gathered without blocking until a request can be worked on without waiting for its client: its header block
and its body. Only then a thread takes it, so clients that stop half way cost no thread. Long bodies share a bounded
memory; one that does not fit in is read by a thread, as it comes. What is found here decides *when* a thread starts to
parse and nothing else: gunicorn's parser reads the same bytes again and alone decides what they mean.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from math import inf
from select import POLLIN, poll
from socket import socket
from threading import RLock, get_ident
from typing import Any

from gunicorn.http.parser import RequestParser

from ..setting_sections import ServerSettings
from ..telemetry.client_certificates import ClientCertificate
from .gathering import Chunks, Room, declared_body
from .outgoing import Outgoing
from .plain_head import PlainHead, plain_head
from .tls_socket import TlsSocket
from .unreader import RECEIVE_BYTES, TimedUnreader

# A header block longer than this is refused before it is parsed; the fields that serve a purpose here fit in a quarter.
HEAD_LIMIT_BYTES = 32 * 1024
# What a connection may hold of a body in any case; what is more comes out of the room that all connections share.
GATHERED_BODY_BYTES = 64 * 1024
# A long body is taken in pieces of up to so much.
_LARGEST_RECEIVE_BYTES = 512 * 1024

_END_OF_HEAD = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNDER_V2 = re.compile(rb"[A-Z]+ /v2[/? ]")


class Connection(Outgoing):
    """A client's socket with what has been received and not yet been worked on; times are monotonic seconds."""

    def __init__(
        self, cfg: Any, sock: socket, client: Any, server: Any, limits: ServerSettings, *, room: Room | None = None
    ) -> None:
        super().__init__(sock, room or Room(limits.body_limit_bytes))
        sock.setblocking(False)
        self.client = client
        self.server = server
        self.unreader = TimedUnreader(sock)
        self.parser = RequestParser(cfg, sock, client)
        self.parser.unreader = self.unreader
        self.deadline = inf
        self.arrived_at = self.handed_over_at = self.taken_up_at = inf
        self.thread = 0
        self.was_told_to_continue = False
        self.is_cut_short = False
        self.client_certificate: ClientCertificate | None = None
        if isinstance(sock, TlsSocket):
            sock.when_established(self._established)
        self._limits = limits
        self._taken_bytes = 0
        self._chunks: Chunks | None = None
        self._pending = bytearray()
        self._was_under_v2 = False
        self._head_bytes = -1
        self._needed_bytes = -1
        self._turn: Any = None
        # Most requests on a connection have the same head as the one before, which need not be searched again.
        self._head_before = b""
        self._length_before = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return not self._pending

    @property
    def has_unread(self) -> bool:
        """Whether the kernel holds something of the client, be it its end, that ``receive`` has not taken yet."""
        looks = poll()
        looks.register(self.sock, POLLIN)
        return bool(looks.poll(0))

    @property
    def is_too_long(self) -> bool:
        return (self._head_bytes if self.has_head else len(self._pending)) > HEAD_LIMIT_BYTES

    @property
    def has_too_many_chunks(self) -> bool:
        return self._chunks is not None and self._chunks.are_too_many

    @property
    def is_complete(self) -> bool:
        """Whether a thread can work on what has come without waiting for the client."""
        return 0 <= self._needed_bytes <= len(self._pending)

    @property
    def head(self) -> bytes:
        """The header block, with the empty line that ends it; empty until it has come."""
        return bytes(self._pending[: max(0, self._head_bytes)])

    @property
    def plain_head(self) -> PlainHead | None:
        """What the header block that has come says, where it is plain and another request can follow."""
        said = plain_head(self.head)
        return said if said is not None and said.body_bytes == self.body_bytes else None

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

    @property
    def handshake_failure(self) -> str:
        """Why there can be no TLS with this client; empty when nothing speaks against it."""
        return getattr(self.sock, "failure", "")

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

    def resume(self) -> None:
        """After an answer of a thread: what was read beyond its request is the beginning of the next one."""
        self.sock.setblocking(False)
        self.release()
        self._turn = None
        self.keep_for_later()
        self._begin_anew(self.unreader.take_buffered())

    def release(self) -> None:
        """Give back the room that the body took; to be called when it is not needed any more, as often as one likes."""
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0

    def may_answer(self) -> bool:
        """Whether the thread that asks is to answer the current request: while one works on it, the first that asks."""
        return self._turn is None or self._turn.acquire(blocking=False)

    def hand_over(self) -> None:
        """Give what has come to the parser; until ``resume`` the connection belongs to a thread."""
        self._turn = RLock()
        self.thread = 0
        self._was_under_v2 = self.is_under_v2
        self.unreader.unread(bytes(self._pending))
        self.unreader.in_body = False
        self.unreader.deadline = self.deadline
        self._pending.clear()

    def taken_up(self) -> None:
        """By the thread that works on what was handed over."""
        self.taken_up_at = time.monotonic()
        self.thread = get_ident()

    def _established(self, certificate: ClientCertificate | None) -> None:
        self.client_certificate = certificate

    def _begin_anew(self, data: bytes) -> None:
        self._head_bytes = self._needed_bytes = -1
        self._was_under_v2 = self.was_told_to_continue = self.is_cut_short = False
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
        if declared.length is not None and declared.length <= self._limits.body_limit_bytes:
            self._needed_bytes += declared.length
            if not declared.expectation:
                self._head_before, self._length_before = head, declared.length
        elif declared.is_chunked:
            self._chunks = Chunks(head_bytes)
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
        if held_bytes <= self._limits.body_limit_bytes and self._room.take(grown_bytes):
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
