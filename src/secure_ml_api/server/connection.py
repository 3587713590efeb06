"""One client's connection, which is now the loop's, that gathers what comes, and now a thread's, that answers."""

from __future__ import annotations

import time
from math import inf
from select import POLLIN, poll
from socket import socket
from threading import RLock, get_ident
from typing import Any

from gunicorn.http.parser import RequestParser

from ..setting_sections import ServerSettings
from ..telemetry.client_certificates import ClientCertificate
from .gathering import Room
from .incoming import Incoming
from .plain_head import PlainHead, plain_head
from .tls_socket import TlsSocket
from .unreader import TimedUnreader


class Connection(Incoming):
    """A client's socket, what has come and what has yet to be sent, and who works on it."""

    def __init__(
        self, cfg: Any, sock: socket, client: Any, server: Any, limits: ServerSettings, *, room: Room | None = None
    ) -> None:
        super().__init__(sock, room or Room(limits.body_limit_bytes), limits)
        sock.setblocking(False)
        self.client = client
        self.server = server
        self.unreader = TimedUnreader(sock)
        self.parser = RequestParser(cfg, sock, client)
        self.parser.unreader = self.unreader
        self.handed_over_at = self.taken_up_at = inf
        self.thread = 0
        self.client_certificate: ClientCertificate | None = None
        if isinstance(sock, TlsSocket):
            sock.when_established(self._established)
        self._turn: Any = None

    @property
    def has_unread(self) -> bool:
        """Whether the kernel holds something of the client, be it its end, that ``receive`` has not taken yet."""
        looks = poll()
        looks.register(self.sock, POLLIN)
        return bool(looks.poll(0))

    @property
    def plain_head(self) -> PlainHead | None:
        """What the header block that has come says, where it is plain and another request can follow."""
        said = plain_head(self.head)
        return said if said is not None and said.body_bytes == self.body_bytes else None

    @property
    def handshake_failure(self) -> str:
        """Why there can be no TLS with this client; empty when nothing speaks against it."""
        return getattr(self.sock, "failure", "")

    def resume(self) -> None:
        """After an answer of a thread: what was read beyond its request is the beginning of the next one."""
        self.sock.setblocking(False)
        self.release()
        self._turn = None
        self.keep_for_later()
        self._begin_anew(self.unreader.take_buffered())

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
