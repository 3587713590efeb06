"""The part of docs/tuning.md that is measured."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import Sample
from .works import Work

_HEADER = ("profile", "requests/s", "p50 ms", "p99 ms", "CPU µs a request", "memory MiB (PSS)")


def table(work: Work, samples: Mapping[str, Sample]) -> str:
    """One work as Markdown, a line for each profile."""
    lines = [f"**{work.title}**", "", f"| {' | '.join(_HEADER)} |", "| --- |" + " ---: |" * (len(_HEADER) - 1)]
    for name, each in samples.items():
        figures = (
            f"{each.per_second:.0f}",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            f"{each.cpu_us:.0f}",
            f"{each.pss_mib:.0f}",
        )
        lines.append(f"| {' | '.join((name, *figures))} |")
    return "\n".join(lines)
