"""Quotas that this process knows to be used up: a fixed window that is full stays full until it ends.

So a client over its quota is refused without asking any store, exactly as the store would refuse it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .windows import Wanted, Window

_MOST = 65_536


class UsedUp:
    """Ends of full windows by counter key; every method is safe to call from several threads."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._ends: dict[str, int] = {}

    def note(self, wanted: Wanted, windows: Sequence[Window]) -> None:
        """Remember those of ``wanted`` whose window is full."""
        if len(self._ends) >= _MOST:
            self._ends.clear()  # only knowledge: the store still knows
        now_ns = self._clock()
        for (counter, _), (used, left_ns) in zip(wanted, windows, strict=True):
            if used >= counter.limit:
                self._ends[counter.key] = now_ns + left_ns

    def left_ns(self, key: str) -> int:
        """Nanoseconds for which the counter is known to be full; 0 when nothing is known."""
        end_ns = self._ends.get(key)
        return 0 if end_ns is None else max(0, end_ns - self._clock())

    def purge(self) -> None:
        """Forget windows that have ended."""
        now_ns = self._clock()
        for key in [key for key, end_ns in tuple(self._ends.items()) if end_ns <= now_ns]:
            self._ends.pop(key, None)
