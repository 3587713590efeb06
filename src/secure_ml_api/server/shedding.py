"""Which requests a worker turns away for want of room, decided on the thread that serves all connections.

Two things can be too many: requests in the hands of threads, and requests that are answered in place, which wait in the
sockets for the loop to come round. Both are bounded generously until they do not suffice, and tightly from then on
(``inference.overload``). A caller who asks far less often than others finds twice as much room. Probes and scrapes
pass by.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from time import monotonic
from typing import NamedTuple

from ..inference.queue_limit import QueueLimit
from ..inference.reception import Reception
from ..telemetry.metrics import Metrics
from .connection import Connection
from .plain_head import PlainHead

logger = logging.getLogger(__name__)

# What a turn of the loop may take: each caller waits for those before it, and those who come meanwhile for the next.
GENEROUS_TURN_SECONDS = 0.05
# A long turn with no more connections than this is the doing of a slow machine; to refuse some of so few helps nobody.
FEW_IN_A_TURN = 16
# Under overload a turn holds so many requests, one group of those that are answered together and 1 to 4 ms of work: a
# count, as time may also be another process's. With fewer the loop had time left before the next came. When very many
# wait it holds one of so many: a refusal costs a tenth of a quick answer, and most of a turn is for answers.
STRICT_TURN_REQUESTS = 16
STRICT_TURN_PART = 4
# A turn may be long once, for whatever reason; a queue that stands makes turns long for so long (CoDel's interval).
STANDING_SECONDS = 0.1
# Requests in the hands of threads that are not with a model: more only take the interpreter from each other. How
# many that are is learnt from how long a request waits for its thread to begin.
LEAST_IN_HAND = 8
LONGEST_HAND_OVER_SECONDS = 0.005

_PROBES = (b"GET /v2/health/", b"HEAD /v2/health/")


class _Told(NamedTuple):
    """What somebody was told in this turn, for want of room in a line or elsewhere."""

    seconds: int
    head: PlainHead
    is_line_full: bool
    freed: int
    least_in_hand: int


class Shedding:
    """One worker's; ``most_in_hand`` requests may be with its threads, or on their way to one."""

    def __init__(self, reception: Reception, most_in_hand: int, metrics_port: int) -> None:
        self.overload = reception.overload
        self._reception = reception
        self._most_in_hand = most_in_hand
        self._in_hand_limit = QueueLimit(LEAST_IN_HAND, most_in_hand, LONGEST_HAND_OVER_SECONDS)
        self._spared: set[Connection] = set()  # in the hands of threads beyond the bound, as their callers ask less
        self._metrics_port = metrics_port
        self._metrics = Metrics()
        self._turn_began_at = self._long_since = 0.0
        self._taken_in_turn = self._spared_in_turn = 0
        self._long_turns = self._ready = 0
        self._untold = 0
        self._told: dict[bytes, _Told] = {}
        self._again: Counter[bytes] = Counter()

    def begin_turn(self, ready: int) -> None:
        """The loop begins to serve the connections that are ready, so many."""
        self._ready = ready
        self._settle()
        self._reception.begin_turn()
        self._turn_began_at = monotonic()
        self._taken_in_turn = self._spared_in_turn = 0

    def end_turn(self) -> None:
        """The loop has come round: see whether its turns have been too long for too long."""
        now = monotonic()
        if now - self._turn_began_at < GENEROUS_TURN_SECONDS or self._ready <= FEW_IN_A_TURN:
            self._long_turns = 0
            return
        if not self._long_turns:
            self._long_since = self._turn_began_at
        self._long_turns += 1
        if self._long_turns > 1 and now - self._long_since >= STANDING_SECONDS:
            self.overload.has_no_room()

    def look(self) -> None:
        """Housekeeping, a few times a second, and after the last request."""
        self._settle()
        self._reception.look()
        if self._untold:
            told, self._untold = self._untold, 0
            self._metrics.rejected("overloaded", told)
            logger.warning("requests were turned away for want of room", extra={"requests": told})

    def forget(self, connection: Connection) -> None:
        """The request of ``connection`` is answered."""
        self._spared.discard(connection)
        self._reception.forget(connection)

    def given_back(self, connection: Connection, in_hand: int) -> None:
        """A thread has answered a request; ``in_hand`` counts those that were with threads."""
        self.forget(connection)
        waited_seconds = connection.taken_up_at - connection.handed_over_at
        if self.overload.is_strict:
            self._in_hand_limit.began(waited_seconds, in_hand - self._reception.with_models, monotonic())

    def is_probe(self, connection: Connection) -> bool:
        """Whether the request asks how the server is, which is answered whatever else there is to do."""
        return connection.server[1] == self._metrics_port or connection.head.startswith(_PROBES)

    def told(self, connection: Connection, in_hand: int) -> int | None:
        """When to come back, as a request with the same header block was told in this turn, and no room was made since.

        Most refusals are such: to judge each of them anew costs twice as much. None when nobody was told so.
        """
        if not self._told or connection.server[1] == self._metrics_port:
            return None
        head = connection.head
        told = self._told.get(head)
        if told is None or told.freed != self._reception.freed or in_hand < told.least_in_hand:
            return None
        if connection.body_bytes != told.head.body_bytes:
            return None  # its body has yet to come: of it nobody knows here where the next request begins
        self._again[head] += 1
        return told.seconds

    def refusal(self, connection: Connection, in_hand: int | None = None) -> int | None:
        """When to come back, for a request that is to be turned away; None for one that is to be worked on.

        With ``in_hand`` it is for a thread, beside so many others; without, the loop may answer it in this turn. Only
        a plain request is turned away here: of any other one nobody knows where the next begins.
        """
        if in_hand is not None and in_hand >= self._most_in_hand:
            self._has_no_room()
        if not self._reception.is_alert:
            return None
        head = connection.plain_head
        if head is None or head.is_probe or connection.server[1] == self._metrics_port:
            return None
        caller, shares = head.authorization or "", self.overload.shares
        if self.overload.is_strict:
            shares.asked(caller)
        freed = self._reception.freed
        seconds = self._reception.turned_away(head.path, head.authorization, None if in_hand is None else connection)
        is_line_full = seconds is not None
        if seconds is None:
            has_room = self._has_room_in_turn if in_hand is None else partial(self._has_room, connection, in_hand)
            if not has_room(shares.is_modest(caller)):
                seconds = self.overload.drain.retry_after_seconds()
        if seconds is not None:
            self.forget(connection)
            self.turned_away()
            told = _Told(seconds, head, is_line_full, freed, in_hand or 0)
            self._told[connection.head] = told
        return seconds

    def turned_away(self, times: int = 1) -> None:
        """Count a request that was; metrics and log are told by the next ``look``, which costs more."""
        self.overload.refused(times)
        self._untold += times

    def _settle(self) -> None:
        """Count those who were told what others like them had been told, and tell nobody so any more."""
        for head, times in self._again.items():
            told = self._told[head]
            self.turned_away(times)
            if self.overload.is_strict:
                self.overload.shares.asked(told.head.authorization or "", times)
            if told.is_line_full:
                self._reception.turned_away_again(told.head.path, told.head.authorization, times)
        self._told.clear()
        self._again.clear()

    def has_room_in_hand(self, connection: Connection, in_hand: int) -> bool:
        """Whether a thread should take one more request."""
        if connection in self._spared:
            return True
        if in_hand >= self._most_in_hand:
            self._has_no_room()
        if not self.overload.is_strict:
            return True
        return in_hand < min(self._most_in_hand, self._in_hand_limit.limit + self._reception.with_models)

    def _has_no_room(self) -> None:
        """The generous bound is met, or the strict one has grown up to it."""
        if not self.overload.is_strict:
            self._in_hand_limit.restart()
            self._reception.has_no_room()

    def _has_room(self, connection: Connection, in_hand: int, is_modest: bool) -> bool:
        if self.has_room_in_hand(connection, in_hand):
            return True
        # Those who ask less have as much room again for themselves, however much of it the others hold.
        if is_modest and len(self._spared) < self._in_hand_limit.limit:
            self._spared.add(connection)
            return True
        return False

    def _has_room_in_turn(self, is_modest: bool) -> bool:
        if not self.overload.is_strict:
            return True
        if self._taken_in_turn < max(STRICT_TURN_REQUESTS, self._ready // STRICT_TURN_PART):
            self._taken_in_turn += 1
            return True
        if is_modest and self._spared_in_turn < STRICT_TURN_REQUESTS:
            self._spared_in_turn += 1
            return True
        return False
