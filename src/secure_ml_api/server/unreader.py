"""How gunicorn's parser reads from a client, in a thread: with a deadline that ends every wait."""

from __future__ import annotations

import time
from math import inf
from socket import socket

from gunicorn.http.unreader import SocketUnreader

from ..errors import BodyTooSlow

RECEIVE_BYTES = 64 * 1024


class HeadTooSlow(Exception):
    """The header block did not arrive in time."""


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """Gunicorn's reader of a socket, with a deadline that ends every wait."""

    def __init__(self, sock: socket) -> None:
        # No less than a TLS record holds: what stayed in TLS's own buffer would wake nobody who waits for the socket.
        super().__init__(sock, max_chunk=RECEIVE_BYTES)
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
