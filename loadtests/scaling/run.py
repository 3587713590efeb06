"""One run over all groups of servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..figures_page import Bench, FiguresPage
from .document import carried, table
from .measure import WORK, Sample, middle, sample, serving

PAGE = FiguresPage("scaling", "scaling.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see ``FiguresPage.run``."""
    return PAGE.run(arguments, "Measure one, two and three servers that share their stores, in turns.", _figures)


def _figures(bench: Bench, home: Path | None) -> str:
    found = _measure(bench, bench.home(home))
    about = bench.about("everything shares, wrk too", f"{WORK.title} for each server, over TLS", "one worker a server")
    return f"{about}\n\n{table(found)}\n\n{carried(found)}"


def _measure(bench: Bench, home: Path) -> dict[str, Sample]:
    """The medians of each group; all servers stand by while some are asked."""
    bench.say("starting servers, Redis, PostgreSQL and nginx")
    found: dict[str, list[Sample]] = {}
    with serving(bench, home) as groups:
        for repeat in range(bench.repeats):
            for name, group in groups.items():
                seen = sample(bench, group)
                found.setdefault(name, []).append(seen)
                parts = ", ".join(f"{part} {cpu:.0f} µs" for part, cpu in seen.cpu_us.items())
                bench.say(f"{repeat + 1}: servers: {name}: {seen.per_second:.0f} a second; {parts}")
    return {name: middle(samples) for name, samples in found.items()}
