"""The worker that answers quick requests where they arrive: on the thread that serves all connections.

A request that is plain, has come whole and is for something that the application answers without waiting costs no
hand-over to a thread and no general parser. One that is plain and has to wait is for a thread, without that parser.
Every other request goes the way of ``GuardedThreads``, which this worker is: the same limits, time-outs, refusals and
end of life.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from .deputy import Deputy
from .gthread import GuardedThreads
from .parking import Parking
from .plain_answer import composed, whole_answer
from .plain_connection import Plain, PlainConnection, Takes, worker_constants
from .plain_request import Environ
from .program import Company, Parked, WsgiAnswer

logger = logging.getLogger(__name__)

# The first of those that are answered together waits for the last of them.
_MOST_TOGETHER = 16
_MOST_BYTES_TOGETHER = 512 * 1024

Gathered = tuple[PlainConnection, Environ]
Way = Literal["together", "parked", "alone", "thread"]


class InPlace(GuardedThreads):
    """GuardedThreads, with a short cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_quick: Takes
        self.answering: list[Gathered] | None = None
        """What the main thread asks the application right now."""
        self._company: Company | None = None
        self._parking = Parking(lambda: self.method_queue.defer(self._answer_parked))
        self._ways: dict[tuple[str, str, int], Way] = {}
        self._gathered: list[Gathered] = []
        self._gathered_bytes = 0
        self.is_deposed = False
        """Whether the main thread, if it ever comes back, has nothing to do any more."""
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
        """One turn of the loop: what has come is gathered and answered together, in groups of a bounded size."""
        events = self.poller.select(max(0.0, min(timeout, self._parking.next_deadline - time.monotonic())))
        self._ways.clear()
        self._shedding.begin_turn(len(events))
        for key, _ in events:
            key.data(key.fileobj)
            if len(self._gathered) >= _MOST_TOGETHER or self._gathered_bytes >= _MOST_BYTES_TOGETHER:
                self._answer_gathered()
        while self._gathered:
            self._answer_gathered()
        self._answer_late()
        self._shedding.end_turn()

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
        conn.taken_up_at = time.monotonic()
        self._count()
        return self._exchanges.serve_plain(conn, environ)

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> PlainConnection:
        return PlainConnection(self.cfg, sock, client, server, self._limits, room=self._room, constants=self._constants)

    def _work_off(self, connection: Any) -> None:
        """Answer what has come whole; the connection is in the poller before and, unless it leaves, after."""
        while connection.is_complete:
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
                self._gathered.append((connection, connection.take(plain, keeps_room=True)))
                self._gathered_bytes += plain.body_bytes
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

    def _answer_gathered(self) -> None:
        """Answer one request of each connection that has one; what a client has sent beyond it is looked at then."""
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        company = self._company
        if company is None or not gathered:
            return
        environs = [environ for _, environ in gathered]
        answers = self._answers(gathered, lambda: company.answer(environs, self._parking.over))
        for (connection, environ), answer in zip(gathered, answers, strict=True):
            if isinstance(answer, tuple):
                connection.release()
                self._send_composed(connection, answer)
            else:
                connection.handed_over = environ
                self._taken_from_poller(connection).hand_over()
                connection.handed_over_at = connection.taken_up_at = time.monotonic()
                self._in_hand.add(connection)
                self._parking.add(answer, connection)

    def _answer_parked(self) -> None:
        """Answer those whose models have run."""
        self._arrive(self._parking.taken_over())

    def _answer_late(self) -> None:
        """Tell those whose deadline has passed."""
        late = self._parking.taken_late(time.monotonic())
        if self._company is not None:
            for parked, _ in late:
                self._company.give_up(parked)
        self._arrive(late)

    def _arrive(self, parked: list[tuple[Parked, PlainConnection]]) -> None:
        company = self._company
        if company is None or not parked:
            return
        waited = [(connection, connection.handed_over or {}) for _, connection in parked]
        answers = self._answers(waited, lambda: company.arrive([each for each, _ in parked]))
        for (connection, _), answer in zip(waited, answers, strict=False):
            if not self._given_back(connection):
                continue  # given up on meanwhile
            connection.handed_over = None
            connection.resume()
            self._await(connection)
            if isinstance(answer, tuple):
                self._send_composed(connection, answer)

    def _answers(
        self, asking: list[Gathered], answers: Callable[[], Sequence[WsgiAnswer | Parked]]
    ) -> Sequence[WsgiAnswer | Parked]:
        """What the application says to those who are ``asking``; none of them when it fails, who are told then."""
        self.answering = asking
        try:
            return answers()
        except Exception:
            logger.exception("requests failed outside of the application's own handlers")
            for connection, _ in asking:
                self._in_hand.discard(connection)
                self._refuse(connection, 500)
            asking.clear()
            return ()
        finally:
            self._answered_in_time()

    def _send_composed(self, connection: PlainConnection, answer: WsgiAnswer) -> None:
        """Send an answer to a connection in the poller, and go on with what its client has sent beyond."""
        try:
            connection.closes = connection.closes or self._is_last()
            is_free = self._send_whole(connection, composed(*answer, closes=connection.closes))
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self._refuse(connection, 500)
            return
        if is_free:
            self._work_off(connection)

    def _answer(self, connection: PlainConnection, environ: Environ) -> bool:
        """Answer one request; whether the connection can carry the next one already."""
        try:
            answer, connection.closes = self._whole_answer(connection, environ)
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self._refuse(connection, 500)
            return False
        return self._send_whole(connection, answer)

    def _send_whole(self, connection: PlainConnection, answer: bytes) -> bool:
        """Send an answer, or leave it to the poller; whether the connection can carry the next request already."""
        connection.unsent = memoryview(answer)
        if not self._send(connection):
            return False
        if connection.unsent:
            self.poller.modify(connection.sock, selectors.EVENT_WRITE, partial(self._writable, connection))
            return False
        return self._answered(connection)

    def _whole_answer(self, connection: PlainConnection, environ: Environ) -> tuple[bytes, bool]:
        """What the application answers; does not return when it took so long that the deputy took over."""
        self.answering = [(connection, environ)]
        try:
            return whole_answer(self.wsgi, environ, lambda: connection.closes or self._is_last())
        finally:
            self._answered_in_time()

    def _answered_in_time(self) -> None:
        """Go on; does not return when the deputy took over."""
        self.answering = None
        while self.is_deposed:
            time.sleep(0.01)

    def take_over(self, stuck: list[Gathered]) -> None:
        """In the deputy's thread: answer those whom the main thread is ``stuck`` in, then do all its work.

        Of those that are answered together, one is stuck in a model that nobody takes for quick any more; who asked
        others begins anew, in a thread, and is charged twice. From now on nothing is answered in place, and another
        worker is asked for; this one serves until then. Python
        runs handlers of signals in the main thread only, so they are read from the pipe that they leave a byte in.
        """
        is_quick_still = self._is_quick
        self._ways.clear()
        self.app.board.ask_for_relief(self.slot)
        for connection, environ in stuck:
            asked = environ["REQUEST_METHOD"], environ["PATH_INFO"], int(environ.get("CONTENT_LENGTH", 0))
            if len(stuck) > 1 and is_quick_still(*asked):
                connection.handed_over = _anew(environ)
                self._dispatch(self._taken_from_poller(connection))
            else:
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
