"""Documents with figures: what is between two marks is written anew; all else is as people left it."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import Sample
from .works import Work

BEGIN, END = "<!-- figures: python -m loadtests.profiles -->", "<!-- end of figures -->"
_HEADER = ("profile", "requests/s", "p50 ms", "p99 ms", "CPU µs a request", "memory MiB (PSS)")


def with_figures(document: str, figures: str, mark: str = BEGIN) -> str:
    """``document`` with ``figures`` between ``mark`` and the end mark; raises ValueError when it lacks them."""
    before, begin, rest = document.partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks its marks {mark} and {END}")
    return f"{before}{mark}\n\n{figures}\n\n{END}{after}"


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
