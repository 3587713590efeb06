"""The one bound of every wait."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from ..errors import DeadlineExceeded, MalformedHeader

TIMEOUT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
"""How a Request-Timeout field is written."""


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

    def within(self, timeout: str, arrived_at: float) -> Deadline:
        """This deadline, or ``timeout`` after ``arrived_at`` (monotonic seconds) if that is earlier.

        ``timeout`` is the value of a Request-Timeout field (draft-thomson-hybi-http-timeout: seconds; here decimals
        too) and changes nothing when empty. Raises MalformedHeader.
        """
        if not timeout:
            return self
        if TIMEOUT.fullmatch(timeout) is None:
            raise MalformedHeader("Request-Timeout is a number of seconds, such as 2 or 0.5")
        return Deadline(min(self.at, arrived_at + float(timeout)))

    def check(self) -> None:
        """Raise DeadlineExceeded once it has passed."""
        if self.remaining_seconds() <= 0:
            raise DeadlineExceeded("the deadline of the request passed")
