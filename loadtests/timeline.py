"""What came back second by second: counted where requests are sent, sent on by workers, added up where it is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .figures import Figures


class Outcome(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"  # as it should have been
    REFUSED = "refused"  # 429 or 503 with Retry-After: the server protects itself, and says how long
    FAILED = "failed"  # any other answer that is not what was asked for
    LOST = "lost"  # no answer: the connection broke, or time ran out


def outcome(status: int, headers: Mapping[str, str], *, as_it_should_be: bool) -> Outcome:
    """What became of a request with this answer; status 0 stands for no answer at all."""
    if as_it_should_be:
        return Outcome.ANSWERED
    if status == 0:
        return Outcome.LOST
    if status in (429, 503) and "retry-after" in {name.lower() for name in headers}:
        return Outcome.REFUSED
    return Outcome.FAILED


@dataclass(slots=True)
class Tally:
    """The requests that ended within one second, or within several. ``times_ms`` has those that were answered."""

    refused: int = 0
    failed: int = 0
    lost: int = 0
    times_ms: Counter[float] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        return self.times_ms.total()

    @property
    def requests(self) -> int:
        return self.answered + self.refused + self.failed + self.lost

    def count(self, became: Outcome, time_ms: float) -> None:
        """Count one request; times are kept to three digits, so that a long run stays small."""
        match became:
            case Outcome.ANSWERED:
                self.times_ms[float(f"{time_ms:.3g}")] += 1
            case Outcome.REFUSED:
                self.refused += 1
            case Outcome.FAILED:
                self.failed += 1
            case Outcome.LOST:
                self.lost += 1

    def add(self, other: Tally) -> None:
        self.refused += other.refused
        self.failed += other.failed
        self.lost += other.lost
        self.times_ms.update(other.times_ms)

    def figures(self, name: str) -> Figures:
        """The same as figures under ``name``."""
        return Figures(name, self.requests, self.failed + self.lost, self.times_ms, self.refused, self.lost)


@dataclass(slots=True)
class Timeline:
    """A tally for each second of the clock (since 1970) in which anything came back."""

    seconds: dict[int, Tally] = field(default_factory=dict)

    def count(self, now: float, became: Outcome, time_ms: float) -> None:
        self.seconds.setdefault(int(now), Tally()).count(became, time_ms)

    def add(self, other: Timeline) -> None:
        for second, tally in other.seconds.items():
            self.seconds.setdefault(second, Tally()).add(tally)

    def within(self, seconds: Iterable[int]) -> Tally:
        """All that came back within ``seconds``, as one."""
        whole = Tally()
        for second in seconds:
            if second in self.seconds:
                whole.add(self.seconds[second])
        return whole

    def take(self) -> Timeline:
        """What is counted so far, which this timeline then forgets."""
        taken = Timeline(self.seconds)
        self.seconds = {}
        return taken

    def as_data(self) -> list[list[Any]]:
        """Lists and numbers, for messages and JSON."""
        return [
            [second, tally.refused, tally.failed, tally.lost, [list(pair) for pair in tally.times_ms.items()]]
            for second, tally in sorted(self.seconds.items())
        ]

    @classmethod
    def of_data(cls, data: Iterable[Iterable[Any]]) -> Timeline:
        """The timeline that ``as_data`` made the lists of."""
        seconds = {}
        for second, refused, failed, lost, times in data:
            seconds[second] = Tally(refused, failed, lost, Counter(dict(times)))
        return cls(seconds)
