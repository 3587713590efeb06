"""What a run measured, as plain numbers: counted by the load generator, judged and printed without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Figures:
    """The requests of one name, or of several together. ``times_ms`` counts the answers that took so long.

    ``failures`` includes the ``lost`` ones, whose connection broke; ``refused`` ones were turned away politely.
    """

    name: str
    requests: int
    failures: int
    times_ms: Mapping[float, int] = field(default_factory=dict)
    refused: int = 0
    lost: int = 0

    @property
    def group(self) -> str:
        """The first word of the name: the scenario that sent the requests, or ``tokens``."""
        return self.name.partition(" ")[0]

    @property
    def error_rate(self) -> float:
        """Share of requests that failed, between 0 and 1; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def answered(self) -> int:
        """How many requests got what they asked for."""
        return self.requests - self.failures - self.refused

    @property
    def refusal_rate(self) -> float:
        """Share of requests that were refused, between 0 and 1; 0 without requests."""
        return self.refused / self.requests if self.requests else 0.0

    def percentile_ms(self, share: float) -> float:
        """The smallest time within which at least ``share`` of the answers came (nearest rank); 0 without answers."""
        wanted = share * sum(self.times_ms.values())
        passed = 0
        for time_ms in sorted(self.times_ms):
            passed += self.times_ms[time_ms]
            if passed >= wanted:
                return time_ms
        return 0


def together(name: str, parts: Iterable[Figures]) -> Figures:
    """``parts`` as one, under ``name``."""
    chosen = list(parts)
    times: Counter[float] = Counter()
    for part in chosen:
        times.update(part.times_ms)
    return Figures(
        name,
        requests=sum(part.requests for part in chosen),
        failures=sum(part.failures for part in chosen),
        times_ms=times,
        refused=sum(part.refused for part in chosen),
        lost=sum(part.lost for part in chosen),
    )


def by_group(figures: Iterable[Figures]) -> list[Figures]:
    """One for each group, in alphabetical order."""
    parts = sorted(figures, key=lambda part: part.group)
    return [together(group, members) for group, members in groupby(parts, key=lambda part: part.group)]


def table(figures: Sequence[Figures], seconds: float) -> str:
    """The figures as aligned text, a line each, and a last line for all together over ``seconds``."""
    lines: list[tuple[str, ...]] = [("requests", "count", "per second", "failed", "p50 ms", "p95 ms", "p99 ms")]
    for row in (*figures, together("all", figures)):
        times = (f"{row.percentile_ms(share):g}" for share in (0.50, 0.95, 0.99))
        lines.append((row.name, str(row.requests), f"{row.requests / seconds:.1f}", str(row.failures), *times))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
