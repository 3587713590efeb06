"""The part of a worker that says no: requests that it has no room for are refused as soon as that can be told.

Whether there is room, ``shedding`` decides; here the refusal is sent, and who asks how the server is finds a way past.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from select import POLLIN, poll
from time import monotonic
from typing import Any

from ..inference.reception import Reception
from ..telemetry.request_ids import new_request_id
from .connection import Connection
from .error_pages import overloaded_answer
from .incoming import GATHERED_BODY_BYTES
from .shedding import Shedding
from .waiting import WaitingConnections

# Probes and scrapes have threads of their own and wait for nobody else; beyond so many at once they are like others.
_PROBING_THREADS = 2
_MOST_PROBES = 32
# Where models have more to do than they can, the end of runs is waited for up to so long before the next are refused:
# many at once cost far less than one by one, and a run that is not disturbed is over sooner.
_REST_MILLISECONDS = 2


class TurningAway(WaitingConnections):
    """A connection whose request is worked on is in ``_in_hand`` or in ``_probing``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_hand: set[Connection] = set()  # of a thread, or queued for one
        self._probing: set[Connection] = set()  # the same, for those who only ask how the server is
        self._reception: Reception
        self._shedding: Shedding
        self._probes: ThreadPoolExecutor
        self._ends: Any  # a poll object, for what threads tell the loop

    def _begin_shedding(self) -> None:
        """In the worker, before it serves."""
        most_in_hand = self._threads + self.app.settings.inference.max_waiting
        self._reception = self.app.reception()
        self._shedding = Shedding(self._reception, most_in_hand, self._limits.metrics_port)
        self._probes = ThreadPoolExecutor(_PROBING_THREADS, "probe")
        self._ends = poll()
        self._ends.register(self.method_queue.fileno(), POLLIN)

    def _end_shedding(self) -> None:
        """After the last request."""
        self._shedding.look()
        self._probes.shutdown(wait=False)

    def _is_last(self) -> bool:
        """Whether an answer that is sent now is the last on its connection."""
        raise NotImplementedError

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the loop: see to all connections that are ready."""
        if self._reception.will_make_room:
            self._rest()
        events = self.poller.select(timeout)
        self._shedding.begin_turn(len(events))
        for key, _ in events:
            key.data(key.fileobj)
        self._shedding.end_turn()

    def _rest(self) -> None:
        self._ends.poll(_REST_MILLISECONDS)

    def _sweep(self) -> None:
        super()._sweep()
        self._shedding.look()

    def _work_off(self, connection: Any) -> None:
        while connection.is_complete:
            in_hand = len(self._in_hand)
            seconds = self._shedding.told(connection, in_hand) or self._shedding.refusal(connection, in_hand)
            if seconds is None:
                self._dispatch(self._taken_from_poller(connection))
                return
            if not self._turn_away(connection, seconds):
                return
        self._look_at_rest(connection)

    def _look_at_rest(self, connection: Connection) -> None:
        """Refuse what need not come whole for that: what is too long, and a long body while there is no room."""
        if connection.is_too_long:
            self._refuse(connection, 431)
        elif (status := connection.chunks_refused_with) is not None:
            self._refuse(connection, status)
        elif connection.body_bytes > GATHERED_BODY_BYTES:
            seconds = self._shedding.refusal(connection, len(self._in_hand))
            if seconds is not None:
                self._refuse(connection, 503, seconds)

    def _turn_away(self, connection: Connection, retry_after_seconds: int) -> bool:
        """Answer the request that has come whole with a plain no; whether the connection goes on."""
        if self._is_last():
            self._refuse(connection, 503, retry_after_seconds)
            return False
        answer = overloaded_answer(new_request_id(), retry_after_seconds, under_v2=connection.is_under_v2)
        connection.skip()
        try:
            if connection.sock.send(answer) == len(answer):
                if connection.is_idle:
                    connection.wait(self._keep_alive_seconds)
                return True
        except OSError:
            pass
        self._forget(connection)  # a client that does not take so short an answer
        return False

    def _refuse(self, connection: Connection, status: int, retry_after_seconds: int = 1) -> None:
        self._shedding.forget(connection)
        super()._refuse(connection, status, retry_after_seconds)

    def _refuse_overloaded(self, connection: Connection) -> None:
        """There is no room for the request in hand."""
        self._shedding.overload.refused()
        self._refuse(connection, 503, self._shedding.overload.drain.retry_after_seconds())

    def _forget(self, connection: Connection) -> None:
        self._shedding.forget(connection)
        super()._forget(connection)

    def _submit(self, connection: Connection) -> bool:
        """Give the request to a thread; False when it was refused, as there is no room."""
        pool, hands = self.tpool, self._in_hand
        if self._shedding.is_probe(connection) and len(self._probing) < _MOST_PROBES:
            pool, hands = self._probes, self._probing
        elif not self._shedding.has_room_in_hand(connection, len(self._in_hand)):
            self._refuse_overloaded(connection)
            return False
        connection.hand_over()
        connection.handed_over_at = monotonic()
        hands.add(connection)
        future = pool.submit(self.handle, connection)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, connection, done))
        return True

    def _given_back(self, connection: Connection) -> bool:
        """A thread has answered; False when the connection was not in its hands any more."""
        if connection in self._probing:
            self._probing.remove(connection)
            return True
        if connection not in self._in_hand:
            return False
        self._shedding.given_back(connection, len(self._in_hand))
        self._in_hand.remove(connection)
        return True
