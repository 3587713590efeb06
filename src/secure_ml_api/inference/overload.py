"""Whether more is asked than can be served: generous with waiting while not, strict until what is asked fits again.

A queue that absorbs a burst is good and one that stands is bad: it makes everyone late and serves nobody more
(K. Nichols, V. Jacobson, "Controlling Queue Delay", 2012). So as long as all callers fit, however many ask at once,
they may wait. When they do not fit, more waiting cannot help; then the bounds are tight, so that those who are taken
are answered soon and the others are told at once (as B. Maurer, "Fail at Scale", 2015, does with two time-outs).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from .drain import Drain
from .shares import Shares

# Strictness ends with a second in which fewer than this part of the callers were turned away: load that fits has bursts
# that a strict bound refuses, the more so where the CPU is short.
CALM_SHARE = 0.2
# Callers that come again at once whatever they are told, so many that they fit into the generous bounds but not into
# the strict ones, look like overload that never ends. Once in so many seconds it is tried whether they are.
PROBE_SECONDS = 60.0


class Overload:
    """The state of one place of service, be it a worker or the line of one model; ``clock`` tells monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._strict_since = 0.0
        self.is_strict = False
        self.drain = Drain(clock())
        self.shares = Shares()

    def has_no_room(self) -> None:
        """A generous bound was met: strict from now on."""
        if not self.is_strict:
            self._strict_since = self._clock()
            self.drain.restart(self._strict_since)
            self.shares.forget()
            self.is_strict = True

    def refused(self, times: int = 1) -> None:
        """So many callers were turned away for want of room."""
        self.drain.refused += times

    def look(self) -> None:
        """See, now and then, whether it is over; to be called a few times a second."""
        now = self._clock()
        if not self.drain.roll(now):
            return
        self.shares.fade()
        strict_seconds = now - self._strict_since
        is_over = strict_seconds >= 1.0 and self.drain.refused_share < CALM_SHARE
        if self.is_strict and (is_over or strict_seconds >= PROBE_SECONDS):
            self.is_strict = False
