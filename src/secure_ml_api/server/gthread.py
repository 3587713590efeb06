"""The worker: gunicorn's threads, with clients' patience tested in the main loop instead of in a thread.

The main loop accepts, gathers whole requests (``connection``), closes and counts; threads only work (``exchange``).
What remains of the threaded model: a client that is slow to read a long answer holds a thread for up to
``server.body_timeout_seconds``, and so does one that is slow to send a body when many long bodies are on their way. A
buffering proxy in front takes both away.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from .config import LAST_WORDS_SECONDS
from .connection import Connection
from .exchange import Exchanges
from .gathering import Room
from .listening import stop_handshakes

logger = logging.getLogger(__name__)

# How long a closed connection is listened to, so that the client reads the answer before it learns of the close.
_LINGER_SECONDS = 2.0
# How long a stopping worker waits on connections that are idle or have sent half a request.
PATIENCE_SECONDS = 2.0
_SWEEP_SECONDS = 0.25
# Of the largest size, as many bodies may be on their way to a worker without a thread of their own.
_ROOM_FOR_BODIES = 4
_PASSING = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR})


class GuardedThreads(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's ThreadWorker with its own main loop; a connection is in exactly one of three sets."""

    alive: bool
    nr: int
    slot: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.app.settings
        self._limits = settings.server
        self._most_in_hand = self.cfg.threads + settings.inference.max_waiting
        self._waiting: set[Connection] = set()  # for bytes of the client, in the poller
        self._in_hand: set[Connection] = set()  # of a thread, or queued for one
        self._closing: set[Connection] = set()  # answered for the last time, in the poller
        self._next_sweep = 0.0
        self._room = Room(_ROOM_FOR_BODIES * self._limits.body_limit_bytes)
        self._exchanges: Exchanges

    def run(self) -> None:
        self._exchanges = Exchanges(self.cfg, self.wsgi, self._limits.body_timeout_seconds, self._is_last)
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.set_accept_enabled(True)
        while self.alive:
            self.notify()
            self.set_accept_enabled(self._open_connections() < self.worker_connections)
            self._turn()
            if not self.is_parent_alive():
                break
        self._drain()
        self.tpool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()

    def handle(self, conn: Connection) -> bool:
        """In a thread: one request; whether the connection can carry another."""
        self._count()
        return self._exchanges.serve(conn)

    def accept(self, listener: Any) -> None:
        """Take one new connection and wait for its request."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in _PASSING:
                return
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            logger.warning("no new connections for now: %s", error.strerror)
            self.set_accept_enabled(False)  # the next turn tries again
            return
        connection = self._connection(sock, client, listener.getsockname())
        connection.wait(self._limits.header_timeout_seconds)
        self._await(connection)

    def finish_request(self, conn: Connection, fs: Future[bool]) -> None:
        """In the main loop, after a thread has answered."""
        self._in_hand.discard(conn)
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self._close_gently(conn)
            return
        conn.wait(self.cfg.keepalive if self.alive else PATIENCE_SECONDS)
        conn.resume()
        if conn.is_complete:
            self._dispatch(conn)
        else:
            self._await(conn)

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> Connection:
        return Connection(self.cfg, sock, client, server, self._limits, room=self._room)

    def _count(self) -> None:
        self.nr += 1
        if self.nr == self.max_requests:
            logger.info("this worker has answered its share and asks to be replaced")
            self.app.board.ask_for_relief(self.slot)

    def _is_last(self) -> bool:
        """Whether the answer that a thread begins to send is the last on its connection."""
        return not self.alive or len(self._waiting) + self.cfg.threads >= self.worker_connections

    def _open_connections(self) -> int:
        return len(self._waiting) + len(self._in_hand) + len(self._closing)

    def _turn(self) -> None:
        self.wait_for_and_dispatch_events(_SWEEP_SECONDS if self._waiting or self._closing else 1.0)
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_SECONDS
        for connection in [late for late in self._waiting if late.deadline <= now]:
            self._patience_ended(connection)
        for connection in [late for late in self._closing if late.deadline <= now]:
            self._forget(connection)

    def _await(self, connection: Connection) -> None:
        self._waiting.add(connection)
        self.poller.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))

    def _readable(self, connection: Connection, _: Any) -> None:
        if not connection.receive():
            self._client_ended(connection)
        elif connection.is_complete:
            self._dispatch(self._taken_from_poller(connection))
        elif connection.is_too_long:
            self._refuse(connection, 431)

    def _client_ended(self, connection: Connection) -> None:
        """The client sends nothing more; one that has ended amid a body may still read what is thought of that."""
        if connection.has_head:
            self._refuse(connection, 400)
        else:
            self._forget(connection)

    def _dispatch(self, connection: Connection) -> None:
        if len(self._in_hand) >= self._most_in_hand:
            self._refuse(connection, 503)
            return
        connection.hand_over()
        self._in_hand.add(connection)
        self.enqueue_req(connection)

    def _patience_ended(self, connection: Connection) -> None:
        if connection.is_idle:
            self._forget(connection)
        else:
            self._refuse(connection, 408 if self.alive else 503)

    def _refuse(self, connection: Connection, status: int) -> None:
        self._exchanges.refuse(connection, status)
        self._close_gently(self._taken_from_poller(connection))

    def _close_gently(self, connection: Connection) -> None:
        """Say that nothing more will come, and close when the client has closed too (RFC 9112 section 9.6)."""
        connection.release()
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
        self._taken_from_poller(connection).sock.close()

    def _drain(self) -> None:
        """Finish what has reached this worker; every answer from now on is the last on its connection.

        When the whole server stops, new connections are taken as long as requests from before are being answered: they
        find a server that is not ready instead of one that does not answer. When this worker is replaced, its
        successors take them.
        """
        elders = set(self._in_hand)
        until = time.monotonic() + self.cfg.graceful_timeout - LAST_WORDS_SECONDS
        for connection in self._waiting:
            connection.deadline = min(connection.deadline, time.monotonic() + PATIENCE_SECONDS)
        listening, told = True, False
        while time.monotonic() < until:
            self.notify()
            elders &= self._in_hand
            stopping = self.app.board.stopping
            if stopping and not told:
                told = True
                self.app.begin_drain()
            if listening and not (stopping and elders):
                listening = False
                self._stop_listening()
            if not self._open_connections():
                return
            self._turn()

    def _stop_listening(self) -> None:
        """Take the connections that the kernel has made already, as they would be reset, and no others."""
        self.set_accept_enabled(False)
        was_last = self.app.board.stop_listening(self.slot)
        for listener in self.sockets:
            if was_last and self.app.board.stopping:
                stop_handshakes(listener)
            before = -1
            while before != len(self._waiting):
                before = len(self._waiting)
                self.accept(listener)
            listener.close()
