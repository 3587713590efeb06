"""What became of the requests of a load: who was answered how, and how long after it was due."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

NEVER_SENT = "never sent"


class Answer(NamedTuple):
    """What became of one request; seconds count from the beginning of the load, ``latency`` from ``due_at``."""

    due_at: float
    sent_at: float
    latency: float
    status: int
    """0 when no whole answer came; ``error`` then says why."""
    retry_after: int | None = None
    error: str = ""


class Outcome:
    """All answers of a load, in the order in which they came."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers

    def statuses(self) -> dict[int, int]:
        """How many answers had which status; 0 stands for none."""
        return dict(Counter(answer.status for answer in self.answers))

    def errors(self) -> dict[str, int]:
        """Why how many requests got no answer."""
        return dict(Counter(answer.error for answer in self.answers if answer.error))

    @property
    def never_sent(self) -> int:
        """How many requests the generator itself did not come to."""
        return self.errors().get(NEVER_SENT, 0)

    def between(self, begin: float, end: float) -> Outcome:
        """Those that were due from ``begin`` to ``end``, in seconds from the beginning of the load."""
        return Outcome([answer for answer in self.answers if begin <= answer.due_at < end])

    def of(self, *statuses: int) -> Outcome:
        """Those with one of ``statuses``."""
        return Outcome([answer for answer in self.answers if answer.status in statuses])

    def latency(self, percent: float) -> float:
        """The latency that ``percent`` of the answers did not exceed, in seconds; not a number without answers."""
        return _percentile([answer.latency for answer in self.answers], percent)

    def lateness(self, percent: float) -> float:
        """How late the generator itself was to send, in seconds: what is large here is not the server's doing alone."""
        return _percentile([answer.sent_at - answer.due_at for answer in self.answers], percent)

    def share(self, *statuses: int) -> float:
        """The part of all requests that was answered with one of ``statuses``, 0 to 1."""
        return len(self.of(*statuses).answers) / len(self.answers) if self.answers else math.nan

    def per_second(self, *statuses: int) -> float:
        """Answers with ``statuses`` a second, over the time in which requests were due."""
        due = [answer.due_at for answer in self.answers]
        return len(self.of(*statuses).answers) / (max(due) - min(due)) if len(due) > 1 else math.nan


def _percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; not a number without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
