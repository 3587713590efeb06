"""The part of a worker that answers, on the thread that serves all connections, what has come in one turn of its loop.

Requests are gathered in groups of a bounded size, and the application is asked about all of a group at once. What it
parks, because a model runs elsewhere, is in hand until it arrives; no thread waits with it.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .gthread import GuardedThreads
from .parking import Parking
from .plain_answer import composed
from .plain_connection import Plain, PlainConnection
from .plain_request import Environ
from .program import Company, Parked, WsgiAnswer

logger = logging.getLogger(__name__)

# The first of those that are answered together waits for the last of them.
_MOST_TOGETHER = 16
_MOST_BYTES_TOGETHER = 512 * 1024

Gathered = tuple[PlainConnection, Environ]


class AnsweringTogether(GuardedThreads):
    """A connection whose request is gathered is in the poller; one whose request is parked is in hand."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answering: list[Gathered] | None = None
        """What the main thread asks the application right now."""
        self.is_deposed = False
        """Whether the main thread, if it ever comes back, has nothing to do any more."""
        self._company: Company | None = None
        self._parking = Parking(lambda: self.method_queue.defer(self._answer_parked))
        self._gathered: list[Gathered] = []
        self._gathered_bytes = 0

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the loop."""
        if self._reception.will_make_room:
            self._parking.rest(self._rest)
            self._answer_parked()
        events = self.poller.select(max(0.0, min(timeout, self._parking.next_deadline - time.monotonic())))
        self._shedding.begin_turn(len(events))
        for key, _ in events:
            key.data(key.fileobj)
            if len(self._gathered) >= _MOST_TOGETHER or self._gathered_bytes >= _MOST_BYTES_TOGETHER:
                self._answer_gathered()
        while self._gathered:
            self._answer_gathered()
        self._answer_late()
        self._shedding.end_turn()

    def _gather(self, connection: PlainConnection, plain: Plain) -> None:
        """Answer the request that has come whole together with others, soon."""
        self._gathered.append((connection, connection.take(plain, keeps_room=True)))
        self._gathered_bytes += plain.body_bytes

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
                self._shedding.forget(connection)
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

    def _sweep(self) -> None:
        super()._sweep()
        self._parking.look()
        if self._company is not None:
            self._company.look()

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

    def _send_whole(self, connection: PlainConnection, answer: bytes) -> bool:
        """Send an answer, or leave it to the poller; whether the connection can carry the next request already."""
        connection.unsent = memoryview(answer)
        if not self._send(connection):
            return False
        if connection.unsent:
            self.poller.modify(connection.sock, selectors.EVENT_WRITE, partial(self._writable, connection))
            return False
        return self._answered(connection)

    def _answered_in_time(self) -> None:
        """Go on, unless this is the main thread and the deputy has taken over: then there is nothing more to do."""
        self.answering = None
        while self.is_deposed and threading.current_thread() is threading.main_thread():
            time.sleep(0.01)
