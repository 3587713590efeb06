"""Which requests a worker turns away for want of room, decided on the thread that serves all connections.

Two things can be too many: requests in the hands of threads, and requests that are answered in place, which wait in the
sockets for the loop to come round. Both are bounded generously until they do not suffice, and tightly from then on
(``inference.overload``). A caller who has had less than others finds twice as much room. Probes and scrapes pass by.
"""

from __future__ import annotations

import logging
from time import monotonic

from ..inference.queue_limit import QueueLimit
from ..inference.reception import Reception
from ..telemetry.metrics import Metrics
from .connection import Connection
from .plain_head import plain_head

logger = logging.getLogger(__name__)

# What a turn of the loop may take: from its first answer to its last, each caller waits for those before.
GENEROUS_TURN_SECONDS = 0.05
STRICT_TURN_SECONDS = 0.002
# A turn may be long once, for whatever reason; a queue that stands makes turns long for so long (CoDel's interval).
STANDING_SECONDS = 0.1
# Requests in the hands of threads that are not with a model: more only take the interpreter from each other. How
# many that are is learnt from how long a request waits for its thread to begin.
LEAST_IN_HAND = 8
LONGEST_HAND_OVER_SECONDS = 0.005

_PROBES = (b"GET /v2/health/", b"HEAD /v2/health/")


class Shedding:
    """One worker's; ``most_in_hand`` requests may be with its threads, or on their way to one."""

    def __init__(self, reception: Reception, most_in_hand: int, metrics_port: int) -> None:
        self.overload = reception.overload
        self._reception = reception
        self._most_in_hand = most_in_hand
        self._in_hand_limit = QueueLimit(LEAST_IN_HAND, most_in_hand, LONGEST_HAND_OVER_SECONDS)
        self._metrics_port = metrics_port
        self._metrics = Metrics()
        self._turn_began_at = self._long_since = 0.0
        self._long_turns = 0
        self._untold = 0

    def begin_turn(self) -> None:
        """The loop begins to serve the connections that are ready."""
        self._turn_began_at = monotonic()

    def end_turn(self) -> None:
        """The loop has come round: see whether its turns have been too long for too long."""
        now = monotonic()
        if now - self._turn_began_at < GENEROUS_TURN_SECONDS:
            self._long_turns = 0
            return
        if not self._long_turns:
            self._long_since = self._turn_began_at
        self._long_turns += 1
        if self._long_turns > 1 and now - self._long_since >= STANDING_SECONDS:
            self.overload.has_no_room()

    def look(self) -> None:
        """Housekeeping, a few times a second."""
        self._reception.look()
        if self._untold:
            told, self._untold = self._untold, 0
            self._metrics.rejected("overloaded", told)
            logger.warning("requests were turned away for want of room", extra={"requests": told})

    def began(self, waited_seconds: float, in_hand: int) -> None:
        """A thread began with a request so long after it was given to it; ``in_hand`` counts those given to any."""
        if self.overload.is_strict:
            self._in_hand_limit.began(waited_seconds, in_hand - self._reception.with_models, monotonic())

    def is_probe(self, connection: Connection) -> bool:
        """Whether the request asks how the server is, which is answered whatever else there is to do."""
        return connection.server[1] == self._metrics_port or connection.head.startswith(_PROBES)

    def refusal(self, connection: Connection, in_hand: int | None = None) -> int | None:
        """When to come back, for a request that is to be turned away; None for one that is to be worked on.

        With ``in_hand`` it is for a thread, beside so many others; without, the loop may answer it in this turn. Only
        a plain request is turned away here: of any other one nobody knows where the next begins.
        """
        is_full = in_hand is not None and in_hand >= self._most_in_hand
        if not is_full and not self._reception.is_alert:
            return None
        head = None if self.is_probe(connection) else plain_head(connection)
        if head is None:
            return None
        seconds = self._reception.turned_away(head.path, head.authorization)
        has_less = not self.overload.shares.is_over(head.authorization or "")
        if seconds is None and not self._has_room(in_hand, 2 if has_less else 1):
            seconds = self.overload.drain.retry_after_seconds()
        if seconds is not None:
            self.turned_away()
        elif self.overload.is_strict:
            self.overload.shares.served(head.authorization or "")
        return seconds

    def turned_away(self) -> None:
        """Count a request that was; metrics and log are told by the next ``look``, which costs more."""
        self.overload.refused()
        self._untold += 1

    def has_room_in_hand(self, in_hand: int, times: int = 1) -> bool:
        """Whether a thread should take one more request, for a caller who may have ``times`` as many as others."""
        if not self.overload.is_strict:
            if in_hand < self._most_in_hand:
                return True
            self._in_hand_limit.restart()
            self._reception.has_no_room()
        return in_hand < min(self._most_in_hand, times * self._in_hand_limit.limit + self._reception.with_models)

    def _has_room(self, in_hand: int | None, times: int) -> bool:
        if in_hand is not None and not self.has_room_in_hand(in_hand, times):
            return False
        return not self.overload.is_strict or monotonic() - self._turn_began_at < times * STRICT_TURN_SECONDS
