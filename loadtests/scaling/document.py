"""The part of docs/scaling.md that is measured."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import PARTS, Sample

BEGIN = "<!-- figures: python -m loadtests.scaling -->"
_HEADER = ("servers", "requests/s", "p50 ms", "p99 ms", "servers", "Redis", "nginx with TLS", "PostgreSQL")


def table(samples: Mapping[int, Sample]) -> str:
    """A line for each number of servers; the last four columns are CPU microseconds of a request."""
    lines = [f"| {' | '.join(_HEADER)} |", "| ---: |" + " ---: |" * (len(_HEADER) - 1)]
    for count, each in samples.items():
        figures = [f"{each.per_second:.0f}", f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
        figures += [f"{each.cpu_us[part]:.0f} µs" for part in PARTS]
        lines.append(f"| {' | '.join((str(count), *figures))} |")
    return "\n".join(lines)


def carried(samples: Mapping[int, Sample]) -> str:
    """What follows for one core of each part, from the largest number of servers."""
    most = samples[max(samples)]
    servers, redis, nginx = (1e6 / most.cpu_us[part] for part in PARTS[:3])
    return (
        f"So one core that serves answers {_rough(servers)} requests a second, one of nginx passes {_rough(nginx)} on, and "
        f"the one core that Redis uses counts {_rough(redis)}: {redis / servers:.0f} cores of servers fill one Redis."
    )


def _rough(rate: float) -> str:
    """Two digits, as the figures allow no more."""
    return f"{float(f'{rate:.2g}'):,.0f}".replace(",", " ")
