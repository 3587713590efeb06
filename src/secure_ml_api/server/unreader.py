"""How gunicorn's parser reads from a client, in a thread: with a deadline that ends every wait."""

from __future__ import annotations

import time
from math import inf
from socket import socket

from gunicorn.http.unreader import SocketUnreader

from ..errors import BodyTooSlow

RECEIVE_BYTES = 64 * 1024
# The parser copies what it was given once for each chunk that it finds in it.
_PIECE_BYTES = 8 * 1024


class HeadTooSlow(Exception):
    """The header block did not arrive in time."""


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """Gunicorn's reader of a socket, with a deadline that ends every wait.

    What has come already is handed out in small pieces where the parser does not say how much it wants.
    """

    def __init__(self, sock: socket) -> None:
        # No less than a TLS record holds: what stayed in TLS's own buffer would wake nobody who waits for the socket.
        super().__init__(sock, max_chunk=RECEIVE_BYTES)
        self.deadline = inf
        self.in_body = False
        self._held = b""
        self._given_bytes = 0

    @property
    def held_bytes(self) -> int:
        """How much has been received and not been read."""
        return len(self._held) - self._given_bytes

    def unread(self, data: bytes) -> None:
        self._held, self._given_bytes = data + self._held[self._given_bytes :], 0

    def take_buffered(self) -> bytes:
        return self._given(self.held_bytes)

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """``size`` bytes, or less at the end of what the client sends; without, whatever is there or comes next.

        Raises as ``chunk`` does, where something has to be waited for.
        """
        if size is None or size < 0:
            return self._given(_PIECE_BYTES) if self.held_bytes else self.chunk(read_ahead)
        pieces, missing_bytes = [self._given(size)], size
        missing_bytes -= len(pieces[0])
        while missing_bytes > 0:
            piece = self.chunk(max(missing_bytes, (read_ahead or 0) - size + missing_bytes))
            if not piece:
                break
            pieces.append(piece[:missing_bytes])
            self._held, self._given_bytes = piece[missing_bytes:], 0
            missing_bytes -= len(pieces[-1])
        return b"".join(pieces)

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
        raise BodyTooSlow("the body did not arrive in time") if self.in_body else HeadTooSlow()

    def _given(self, most_bytes: int) -> bytes:
        """The next bytes of what is held."""
        data = self._held[self._given_bytes : self._given_bytes + most_bytes]
        self._given_bytes += len(data)
        if self._given_bytes == len(self._held):
            self._held, self._given_bytes = b"", 0
        return data
