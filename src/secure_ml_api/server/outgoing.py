"""What a client has yet to take of its answer, so that no thread waits for one that reads slowly."""

from __future__ import annotations

from contextlib import suppress
from socket import socket

from .gathering import Room


class Outgoing:
    """The sending half of a connection.

    ``unsent`` is what the client has yet to take of an answer, and ``closes`` whether that answer is the last. What a
    thread leaves unsent takes room, ``kept_bytes``, until it is dropped.
    """

    def __init__(self, sock: socket, room: Room) -> None:
        self.sock = sock
        self.unsent = memoryview(b"")
        self.closes = False
        self.kept_bytes = 0
        self._kept = bytearray()
        self._room = room

    def write(self, data: bytes, patience_seconds: float) -> None:
        """In a thread: send ``data``, and keep what the client does not take at once.

        Waits for the client only when there is no room to keep it. Raises OSError when the client has gone or takes
        longer than ``patience_seconds``.
        """
        if not self._kept:
            self.sock.setblocking(False)
            with suppress(BlockingIOError):
                data = data[self.sock.send(data) :]
            if not data:
                return
        if self._room.take(len(data)):
            self.kept_bytes += len(data)
            self._kept += data
            return
        self.sock.settimeout(patience_seconds)
        self.sock.sendall(bytes(self._kept) + data)
        self.drop_answer()

    def keep_for_later(self) -> None:
        """After the thread: what it kept is ``unsent``."""
        if self._kept:
            self.unsent, self._kept = memoryview(self._kept), bytearray()

    def drop_answer(self) -> None:
        """Forget what the client has not taken of an answer."""
        self.unsent = memoryview(b"")
        self._kept = bytearray()
        self._room.give_back(self.kept_bytes)
        self.kept_bytes = 0
