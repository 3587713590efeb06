"""When to ask again: only what is safe to repeat, never before the server said, and not past the caller's time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

# 0: no answer came. All that the client repeats are reads, so it does not matter whether the first was worked on.
_REPEATABLE = frozenset({0, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retry:
    """At most ``attempts`` times, with pauses that double from ``first_seconds`` up to ``longest_seconds``.

    A pause is drawn from nothing to its length, so that clients who failed together do not come back together ("full
    jitter": M. Brooker, "Exponential Backoff And Jitter", 2015), and is never shorter than Retry-After.
    """

    attempts: int = 4
    first_seconds: float = 0.1
    longest_seconds: float = 5.0

    def pause_seconds(
        self,
        attempt: int,
        status: int,
        retry_after_seconds: float | None,
        remaining_seconds: float,
        draw: Callable[[], float] = random.random,
    ) -> float | None:
        """How long to wait after the ``attempt``-th (from 1) ended with ``status``; None to give up.

        Who could not come back within ``remaining_seconds`` is told at once.
        """
        if status not in _REPEATABLE or attempt >= self.attempts:
            return None
        pause = draw() * min(self.longest_seconds, self.first_seconds * 2 ** (attempt - 1))
        pause = max(pause, retry_after_seconds or 0.0)
        return pause if pause < remaining_seconds else None
