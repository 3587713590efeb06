"""How much may be under way at once, learnt from how long it waits to begin."""

from __future__ import annotations

# Additive increase, multiplicative decrease: the rule of which D. Chiu and R. Jain ("Analysis of the Increase and
# Decrease Algorithms for Congestion Avoidance", 1989) show that it converges, whatever the capacity is.
_DECREASE = 0.7


class QueueLimit:
    """Between ``least`` and ``most``, so that what begins has waited ``target_seconds`` or little more."""

    def __init__(self, least: int, most: int, target_seconds: float) -> None:
        self._least = min(least, most)
        self._most = most
        self._target_seconds = target_seconds
        self._limit = float(self._least)
        self._decreases_from = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def restart(self) -> None:
        """Begin anew from ``least``: what was learnt is from another time."""
        self._limit = float(self._least)

    def began(self, waited_seconds: float, under_way: int, now: float) -> None:
        """Something began at ``now``, in monotonic seconds, after waiting; ``under_way`` counts all that is.

        The limit grows by one while as many as it says begin in time, and only while it is made use of. It shrinks
        once for those who waited in the same queue.
        """
        if waited_seconds > self._target_seconds:
            if now - waited_seconds >= self._decreases_from:
                self._limit = max(float(self._least), self._limit * _DECREASE)
                self._decreases_from = now
        elif 2 * under_way >= self._limit:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
