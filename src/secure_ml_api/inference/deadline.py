"""The one bound of every wait."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant on the monotonic clock, in seconds, after which nobody waits for the answer."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining_seconds(self) -> float:
        """Time left; zero or less when it has passed."""
        return self.at - time.monotonic()

    def sooner(self, seconds: float | None) -> Deadline:
        """This deadline, or ``seconds`` from now if that is earlier."""
        if seconds is None:
            return self
        return Deadline(min(self.at, time.monotonic() + seconds))

    def check(self) -> None:
        """Raise DeadlineExceeded once it has passed."""
        if self.remaining_seconds() <= 0:
            raise DeadlineExceeded("the deadline of the request passed")
