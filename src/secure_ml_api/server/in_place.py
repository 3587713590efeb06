"""The worker that answers quick requests where they arrive: on the thread that serves all connections.

A request that is plain, has come whole and is for something that the application answers without waiting costs no
hand-over to a thread and no general parser; one that waits for a model waits without a thread
(``answering_together``). One that is plain and is for neither is for a thread, without that parser.
Every other request goes the way of ``GuardedThreads``, which this worker is: the same limits, time-outs, refusals and
end of life.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from .answering_together import AnsweringTogether, Gathered
from .deputy import Deputy
from .plain_answer import whole_answer
from .plain_connection import Plain, PlainConnection, Takes, worker_constants
from .plain_request import Environ

logger = logging.getLogger(__name__)

Way = Literal["together", "parked", "alone", "thread"]


class InPlace(AnsweringTogether):
    """GuardedThreads, with short cuts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_quick: Takes
        self._ways: dict[tuple[str, str, int], Way] = {}
        self._constants: Environ
        self._afterwards: deque[Callable[[], None]] = deque()

    def run(self) -> None:
        self._is_quick = self.app.in_place_rule()
        # The certificate of a connection is told to the application by what is around it, for one request at a time.
        certificates = self.app.certificates
        asks_clients = certificates is not None and certificates.asks_clients
        self._company = None if asks_clients else self.app.company()
        self._constants = {**worker_constants(self.cfg), "secure_ml_api.afterwards": self._afterwards.append}
        Deputy(self).start()
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the loop, in which requests that look alike go the same way."""
        self._ways.clear()
        super().wait_for_and_dispatch_events(timeout)

    def _turn(self) -> None:
        super()._turn()
        while self._afterwards:
            try:
                self._afterwards.popleft()()
            except Exception:
                logger.exception("what an answer left to do failed")

    def handle(self, conn: Any) -> bool:
        """In a thread: one request; whether the connection can carry another."""
        environ = conn.handed_over
        if environ is None:
            return super().handle(conn)
        conn.handed_over = None
        conn.taken_up()
        self._count()
        return self._exchanges.serve_plain(conn, environ)

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> PlainConnection:
        return PlainConnection(self.cfg, sock, client, server, self._limits, room=self._room, constants=self._constants)

    def _work_off(self, connection: Any) -> None:
        """Answer what has come whole; the connection is in the poller before and, unless it leaves, after."""
        while connection.is_complete:
            seconds = self._shedding.told(connection, len(self._in_hand))
            if seconds is not None:
                if not self._turn_away(connection, seconds):
                    return
                continue
            plain = connection.plain()
            way: Way = "thread" if plain is None else self._way(plain, connection)
            if plain is None or way == "thread":
                super()._work_off(connection)
                return
            in_hand = None if way != "parked" else len(self._in_hand)
            seconds = self._shedding.refusal(connection, in_hand)
            if seconds is not None:
                if not self._turn_away(connection, seconds):
                    return
                continue
            if in_hand is not None and not self._shedding.has_room_in_hand(connection, in_hand):
                self._refuse_overloaded(connection)
                return
            self._count()
            if way != "alone":
                self._gather(connection, plain)
                return
            if not self._answer(connection, connection.take(plain)):
                return
        self._look_at_rest(connection)

    def _way(self, plain: Plain, connection: PlainConnection) -> Way:
        """How a request is answered; decided once in a turn for those that look alike."""
        asked = plain.method, plain.path, plain.body_bytes
        way = self._ways.get(asked)
        if way is None:
            way = self._ways[asked] = self._way_of(*asked)
        if way == "thread" or ("CONTENT_LENGTH" in plain.environ and connection.server[1] != self._limits.metrics_port):
            return way
        return "alone" if way == "together" else "thread"

    def _way_of(self, method: str, path: str, body_bytes: int) -> Way:
        if self.is_deposed:
            return "thread"
        if self._is_quick(method, path, body_bytes):
            return "alone" if self._company is None else "together"
        if self._company is not None and self._company.takes(method, path, body_bytes):
            return "parked"
        return "thread"

    def _answer(self, connection: PlainConnection, environ: Environ) -> bool:
        """Answer one request; whether the connection can carry the next one already."""
        try:
            answer, connection.closes = self._whole_answer(connection, environ)
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self._refuse(connection, 500)
            return False
        return self._send_whole(connection, answer)

    def _whole_answer(self, connection: PlainConnection, environ: Environ) -> tuple[bytes, bool]:
        """What the application answers; does not return when it took so long that the deputy took over."""
        self.answering = [(connection, environ)]
        try:
            return whole_answer(self.wsgi, environ, lambda: connection.closes or self._is_last())
        finally:
            self._answered_in_time()

    def take_over(self, stuck: list[Gathered]) -> None:
        """In the deputy's thread: answer those whom the main thread is ``stuck`` in, then do all its work.

        Of those that are answered together, one is stuck in a model that nobody takes for quick any more; who asked
        others begins anew, in a thread, and is charged twice. From now on nothing is answered in place, and another
        worker is asked for; this one serves until then. Python runs handlers of signals in the main thread only, so
        they are read from the pipe that they leave a byte in.
        """
        self._ways.clear()
        self.app.board.ask_for_relief(self.slot)
        for connection, environ in stuck:
            asked = environ["REQUEST_METHOD"], environ["PATH_INFO"], int(environ.get("CONTENT_LENGTH", 0))
            if len(stuck) > 1 and connection not in self._in_hand and self._is_quick(*asked):
                connection.handed_over = _anew(environ)
                self._dispatch(self._taken_from_poller(connection))
            else:
                self._in_hand.discard(connection)
                self._refuse(connection, 504)
        self.poller.register(self.PIPE[0], selectors.EVENT_READ, self._signalled)
        self._serve()
        self.cfg.worker_exit(None, self)

    def _signalled(self, _: Any) -> None:
        told = set(os.read(self.PIPE[0], 4096))
        if told & {signal.SIGINT, signal.SIGQUIT}:
            os._exit(0)
        if signal.SIGTERM in told:
            self.alive = False


def _anew(environ: Environ) -> Environ:
    environ["wsgi.input"].seek(0)
    return environ
