"""Connections that wait for their clients, in the poller of the main loop: to send, to read, or to close.

No thread waits with them, and each has a deadline.
"""

from __future__ import annotations

import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from .connection import Connection
from .doorway import Doorway
from .exchange import Exchanges

# How long a closed connection is listened to, so that the client reads the answer before it learns of the close.
_LINGER_SECONDS = 2.0
# How long a stopping worker waits on connections that are idle or have sent half a request.
PATIENCE_SECONDS = 2.0
SWEEP_SECONDS = 0.25
# With more connections than this share of what a worker may hold, those that have asked nothing make room.
_CROWDED = 7 / 8


class WaitingConnections(ThreadWorker):  # type: ignore[misc]
    """The part of a worker that waits; a connection is in one of these sets, or in a thread's hands."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = self.app.settings.server
        self._threads, self._keep_alive_seconds = self.cfg.threads, self.cfg.keepalive  # costly to ask for
        self._waiting: set[Connection] = set()  # for bytes of the client, or to send it more, in the poller
        self._closing: set[Connection] = set()  # answered for the last time, in the poller
        self._next_sweep = 0.0
        self._doorway: Doorway
        self._exchanges: Exchanges

    def _dispatch(self, connection: Connection) -> None:
        """Give a connection that is not in the poller to a thread."""
        raise NotImplementedError

    def _give_up_on_threads(self, now: float) -> None:
        """Answer, in their place, for the threads that do not come back."""
        raise NotImplementedError

    def _turn(self) -> None:
        self.wait_for_and_dispatch_events(SWEEP_SECONDS if self._waiting or self._closing else 1.0)
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        self._sweep()

    def _sweep(self) -> None:
        """A few times a second: end what has lasted too long."""
        now = time.monotonic()
        for connection in [late for late in self._waiting if late.deadline <= now]:
            self._patience_ended(connection)
        for connection in [late for late in self._closing if late.deadline <= now]:
            self._forget(connection)
        self._give_up_on_threads(now)
        crowd = len(self._waiting) - int(_CROWDED * self.worker_connections)
        if crowd > 0:
            self._make_room(crowd)

    def _await(self, connection: Connection) -> None:
        self._waiting.add(connection)
        if connection.unsent:
            connection.wait(self._limits.body_timeout_seconds)
            self.poller.register(connection.sock, selectors.EVENT_WRITE, partial(self._writable, connection))
        else:
            self.poller.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))

    def _readable(self, connection: Any, _: Any) -> None:
        if not connection.receive():
            self._client_ended(connection)
        else:
            self._work_off(connection)

    def _work_off(self, connection: Any) -> None:
        """See to what has come; the connection is in the poller before and, unless it leaves, after."""
        raise NotImplementedError

    def _writable(self, connection: Connection, _: Any) -> None:
        if not self._send(connection) or connection.unsent:
            return
        connection.wait(self._limits.header_timeout_seconds)
        if self._answered(connection):
            self.poller.modify(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))
            self._work_off(connection)

    def _send(self, connection: Connection) -> bool:
        """Send what the client takes now; False, and the connection forgotten, when the client has gone."""
        try:
            connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._forget(connection)
            return False
        if connection.unsent:
            connection.wait(self._limits.body_timeout_seconds)
        elif connection.kept_bytes:
            connection.drop_answer()
        return True

    def _answered(self, connection: Connection) -> bool:
        """After the last byte of an answer; whether the connection stays."""
        if connection.closes:
            self._close_gently(self._taken_from_poller(connection))
            return False
        if connection.is_idle:
            connection.wait(self._keep_alive_seconds if self.alive else PATIENCE_SECONDS)
        return True

    def _client_ended(self, connection: Connection) -> None:
        """The client sends nothing more; one that has ended amid a body may still read what is thought of that."""
        if connection.has_head:
            self._refuse(connection, 400)
        elif connection.handshake_failure:
            self._doorway.shaking_failed(connection.client, connection.handshake_failure)
            self._close_gently(self._taken_from_poller(connection))
        else:
            self._forget(connection)

    def _patience_ended(self, connection: Connection) -> None:
        if connection.unsent:
            self._forget(connection)
        elif connection.is_idle:
            if not connection.has_unread:  # what has come since the last look is a request in time
                self._forget(connection)
        else:
            self._refuse(connection, 408 if self.alive else 503)

    def _refuse(self, connection: Connection, status: int, retry_after_seconds: int = 1) -> None:
        self._exchanges.refuse(connection, status, retry_after_seconds)
        self._close_gently(self._taken_from_poller(connection))

    def _make_room(self, wanted: int) -> None:
        """Close up to ``wanted`` connections that have not sent a whole header block, the least patient first."""
        unspoken = [each for each in self._waiting if not each.has_head and not each.unsent]
        unspoken.sort(key=lambda each: each.deadline)
        for connection in unspoken[:wanted]:
            self._doorway.crowded()
            self._forget(connection)

    def _close_gently(self, connection: Connection) -> None:
        """Say that nothing more will come, and close when the client has closed too (RFC 9112 section 9.6)."""
        connection.release()
        connection.drop_answer()
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(connection)
            return
        connection.wait(_LINGER_SECONDS)
        self._closing.add(connection)
        self.poller.register(connection.sock, selectors.EVENT_READ, partial(self._discard, connection))

    def _discard(self, connection: Connection, sock: socket.socket) -> None:
        try:
            if sock.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._forget(connection)

    def _taken_from_poller(self, connection: Connection) -> Connection:
        if connection in self._waiting or connection in self._closing:
            self._waiting.discard(connection)
            self._closing.discard(connection)
            self.poller.unregister(connection.sock)
        return connection

    def _forget(self, connection: Connection) -> None:
        connection.release()
        connection.drop_answer()
        self._taken_from_poller(connection).sock.close()
        self._doorway.left(connection.client, connection.server)
