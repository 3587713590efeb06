"""The worker: gunicorn's threads, with clients' patience tested in the main loop instead of in a thread.

The main loop accepts, gathers whole requests (``connection``), sends what clients take slowly, closes and counts
(``waiting``); threads only work (``exchange``). What remains of the threaded model: when the memory for bodies and
answers on their way is used up, a client that is slow with another long one holds a thread for up to
``server.body_timeout_seconds``; at most a quarter of the threads wait for bodies so. A buffering proxy in front takes
that away.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from concurrent.futures import Future
from threading import Thread
from typing import Any

from ..telemetry.metrics import Metrics
from .certificate_door import CertificateDoor
from .certificates import Certificates
from .config import LAST_WORDS_SECONDS
from .connection import Connection
from .doorway import Doorway
from .exchange import Exchanges
from .gathering import Room
from .listening import HANDSHAKE_SECONDS, NoRoom, next_connection, stop_handshakes
from .turning_away import TurningAway
from .waiting import PATIENCE_SECONDS, SWEEP_SECONDS

logger = logging.getLogger(__name__)

# Of the largest size, as many bodies and answers may be on their way without a thread that waits for them.
_ROOM_FOR_BODIES = 4
# The part of the threads that may wait for long bodies when there is no such room.
_SHARE_FOR_BODIES = 4
# A probe that comes on a new connection stands behind those of a crowd that comes, too.
_ACCEPTED_IN_TURN = 16
# More of these than the kernel holds connections for: a crowd that goes on to come does not keep a worker from going.
_TURNS_TO_LEAVE = 128
# How much later than its deadline a request is answered from the main loop when its thread does not come back.
_GRACE_SECONDS = 0.5


class GuardedThreads(TurningAway):
    """Gunicorn's ThreadWorker with its own main loop; a connection waits, or is in hand."""

    nr: int
    slot: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: set[Connection] = set()  # those of them whose thread has to wait for more of the body
        self._most_reading = max(1, self._threads // _SHARE_FOR_BODIES)
        self._longest_wait_seconds = self._limits.request_deadline_seconds + _GRACE_SECONDS
        self._metrics = Metrics()
        self._room = Room(_ROOM_FOR_BODIES * self._limits.body_limit_bytes)
        self._is_short = False  # of descriptors, or of what else a connection needs, when last one was to be taken
        self._accepts_again_at = 0.0

    def run(self) -> None:
        certificates: Certificates | None = self.app.certificates
        if certificates is not None:
            Thread(target=certificates.look_after, args=(self._limits.port,), name="certificates", daemon=True).start()
            if certificates.asks_clients:
                self.wsgi: Any = CertificateDoor(self.wsgi)
        self._doorway = Doorway(self._limits, certificates)
        self._exchanges = Exchanges(self.cfg, self.wsgi, self._limits.body_timeout_seconds, self._is_last)
        self._begin_shedding()
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.set_accept_enabled(True)
        self._serve()

    def _serve(self) -> None:
        """The main loop, until the end."""
        while self.alive:
            self.notify()
            self.set_accept_enabled(self._takes_connections())
            self._turn()
            if not self.is_parent_alive():
                break
        self._drain()
        self._end_shedding()
        self.tpool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()

    def handle(self, conn: Connection) -> bool:
        """In a thread: one request; whether the connection can carry another."""
        conn.taken_up()
        self._count()
        return self._exchanges.serve(conn)

    def _takes_connections(self) -> bool:
        """Whether there is room for another, as far as can be told without taking it."""
        if self._is_short and time.monotonic() < self._accepts_again_at:
            return False
        has_room: bool = self._open_connections() < self.worker_connections
        return has_room

    def accept(self, listener: Any) -> bool:
        """Take the next few connections and wait for their requests; whether there may be more."""
        for _ in range(_ACCEPTED_IN_TURN):
            try:
                came = next_connection(listener)
            except NoRoom as shortage:
                # Those who wait make the listener ready all the time: trying at each turn, or saying so, never ends.
                self._accepts_again_at = time.monotonic() + SWEEP_SECONDS
                self.set_accept_enabled(False)
                if not self._is_short:
                    self._is_short = True
                    logger.warning("no new connections for now: %s", shortage)
                return False
            if came is None:
                return False
            self._is_short = False
            self._admit(*came, listener)
        return True

    def _admit(self, sock: socket.socket, client: Any, listener: Any) -> None:
        server = listener.getsockname()
        admitted = self._doorway.admit(sock, client, server)
        if admitted is None:
            return
        connection = self._connection(admitted, client, server)
        connection.wait(self._limits.header_timeout_seconds if self.alive else PATIENCE_SECONDS)
        self._await(connection)

    def finish_request(self, conn: Connection, fs: Future[bool]) -> None:
        """In the main loop, after a thread has answered."""
        if not self._given_back(conn):
            return  # given up on meanwhile
        self._reading.discard(conn)
        conn.closes = fs.cancelled() or fs.exception() is not None or not fs.result()
        conn.resume()
        if conn.unsent:
            self._await(conn)
        elif conn.closes:
            self._close_gently(conn)
        elif conn.is_complete:
            self._dispatch(conn)
        else:
            if conn.is_idle:
                conn.wait(self._keep_alive_seconds if self.alive else PATIENCE_SECONDS)
            self._await(conn)

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> Connection:
        return Connection(self.cfg, sock, client, server, self._limits, room=self._room)

    def _count(self) -> None:
        self.nr += 1
        self._shedding.overload.drain.served += 1
        if self.nr == self.max_requests:
            logger.info("this worker has answered its share and asks to be replaced")
            self.app.board.ask_for_relief(self.slot)

    def _sweep(self) -> None:
        super()._sweep()
        self._metrics.worker_connections(self.slot, self._open_connections())

    def _is_last(self) -> bool:
        """Whether the answer that is about to be sent is the last on its connection."""
        return not self.alive or len(self._waiting) + self._threads >= self.worker_connections

    def _open_connections(self) -> int:
        return len(self._waiting) + len(self._in_hand) + len(self._probing) + len(self._closing)

    def _dispatch(self, connection: Connection) -> None:
        """Give a connection that is not in the poller to a thread."""
        if connection.is_cut_short:
            if len(self._reading) >= self._most_reading:
                self._refuse(connection, 503)
                return
            self._reading.add(connection)
        if not self._submit(connection):
            self._reading.discard(connection)

    def _give_up_on_threads(self, now: float) -> None:
        """Answer, in their place, for the threads that hang and have not begun to answer."""
        # Looked at first: whose thread is overdue after that has not gone on to another request.
        threads = {connection: connection.thread for connection in self._in_hand | self._probing}
        overdue, longest = self._reception.overdue(now - _GRACE_SECONDS), now - self._longest_wait_seconds
        for connection in [each for each, thread in threads.items() if thread in overdue or each.arrived_at <= longest]:
            if self._exchanges.refuse(connection, 504):
                self._in_hand.discard(connection)
                self._probing.discard(connection)
                self._reading.discard(connection)
                self._close_gently(connection)
                logger.error("a thread did not answer by the deadline; its caller was answered in its place")

    def _drain(self) -> None:
        """Finish what has reached this worker; every answer from now on is the last on its connection.

        When the whole server stops, new connections are taken as long as requests from before are being answered: they
        find a server that is not ready instead of one that does not answer. When this worker is replaced, its
        successors take them.
        """
        elders = set(self._in_hand)
        until = time.monotonic() + self.cfg.graceful_timeout - LAST_WORDS_SECONDS
        for connection in [each for each in self._waiting if not each.unsent]:
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
            if listening:
                self.set_accept_enabled(self._takes_connections())
            if not self._open_connections():
                return
            self._turn()

    def _stop_listening(self) -> None:
        """Take the connections that the kernel has made already, as they would be reset, and no others."""
        was_last = self.app.board.stop_listening(self.slot)
        if was_last and self.app.board.stopping:
            for listener in self.sockets:
                stop_handshakes(listener)
            self._finish_handshakes()
        self.set_accept_enabled(False)
        for listener in self.sockets:
            for _ in range(_TURNS_TO_LEAVE):
                if not self.accept(listener):
                    break
            listener.close()
        self.app.leave(PATIENCE_SECONDS + 2 * SWEEP_SECONDS)

    def _finish_handshakes(self) -> None:
        """Take connections that are half made; who has a connection may well be making another."""
        until = time.monotonic() + HANDSHAKE_SECONDS
        while self._open_connections() and time.monotonic() < until:
            self.notify()
            self._turn()
