"""The part of docs/scaling.md that is measured."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import ALONE, PARTS, Sample

_HEADER = ("servers", "requests/s", "p50 ms", "p99 ms", "servers", "Redis", "nginx with TLS", "PostgreSQL")


def table(samples: Mapping[str, Sample]) -> str:
    """A line for each group of servers; the last four columns are CPU microseconds of a request."""
    lines = [f"| {' | '.join(_HEADER)} |", "| --- |" + " ---: |" * (len(_HEADER) - 1)]
    for name, each in samples.items():
        figures = [f"{each.per_second:.0f}", f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
        figures += [f"{each.cpu_us[part]:.0f} µs" for part in PARTS]
        lines.append(f"| {' | '.join((name, *figures))} |")
    return "\n".join(lines)


def carried(samples: Mapping[str, Sample]) -> str:
    """What follows for one core of each part, from the largest number of servers."""
    most, alone = samples["3"], samples[ALONE]
    servers, redis, nginx = (1e6 / most.cpu_us[part] for part in PARTS[:3])
    times = samples["1"].cpu_us["servers"] / alone.cpu_us["servers"]
    return (
        f"A request costs a server {times:.1f} times as much when its quotas are in Redis. Of three servers one core "
        f"answers {_rough(servers)} requests a second, one of nginx passes {_rough(nginx)} on, and the one core that "
        f"Redis uses counts {_rough(redis)}: {redis / servers:.0f} cores of servers fill one Redis."
    )


def _rough(rate: float) -> str:
    """Two digits, as the figures allow no more."""
    return f"{float(f'{rate:.2g}'):,.0f}".replace(",", " ")
