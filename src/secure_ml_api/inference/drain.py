"""How fast work drains and how much of it is turned away, second by second: what Retry-After is computed from."""

from __future__ import annotations

import math

LONGEST_WAIT_SECONDS = 10


class Drain:
    """Counts of one place of service; ``now`` is in monotonic seconds, and never goes back.

    Counting is not synchronised: a count that two threads lose to each other changes no decision.
    """

    __slots__ = ("_began_at", "_last_refused", "_last_served", "refused", "refused_share", "served")

    def __init__(self, now: float = 0.0) -> None:
        self._began_at = now
        self._last_served = self._last_refused = 0
        self.served = 0
        self.refused = 0
        """In the second that runs."""
        self.refused_share = 0.0
        """The part of the callers of the last whole second that was turned away."""

    def roll(self, now: float) -> bool:
        """Begin another second if one is over; whether it was."""
        seconds = now - self._began_at
        if seconds < 1.0:
            return False
        # After a pause the counts are those of an average second in it.
        self._last_served, self.served = round(self.served / seconds), 0
        self._last_refused, self.refused = round(self.refused / seconds), 0
        self._began_at = now
        asked = self._last_refused + self._last_served
        self.refused_share = self._last_refused / asked if asked else 0.0
        return True

    def restart(self, now: float) -> None:
        """Begin another second, of which what was counted so far says nothing: until its end the worst is believed."""
        self._last_served, self.served = max(self._last_served, self.served), 0
        self._last_refused, self.refused = max(self._last_refused, self.refused), 0
        self._began_at = now
        self.refused_share = 1.0

    @property
    def served_per_second(self) -> int:
        """In the last whole second, or already in this one."""
        return max(self._last_served, self.served)

    def retry_after_seconds(self, waiting: int = 0) -> int:
        """When to come back: once those who wait and all who are turned away in a second could have been served.

        Nobody who comes earlier would find more room than now, as the others come back too. Whole seconds, from 1 to
        LONGEST_WAIT_SECONDS; 1 before anything was served.
        """
        served = self.served_per_second
        if not served:
            return 1
        refused = max(self._last_refused, self.refused)
        return min(LONGEST_WAIT_SECONDS, max(1, math.ceil((waiting + refused) / served)))
