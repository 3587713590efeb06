"""Throughput against latency, a point for each step, with the knee marked."""

from __future__ import annotations

from collections.abc import Sequence

from ..knee import knee
from ..record import Point
from .axis import Axis, from_zero, written
from .style import svg

SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_WIDTH, _HEIGHT = 860, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 800, 64, 400
_CLOSE = 13.0


def knee_plot(points: Sequence[Point]) -> str:
    """The whole picture; "" when fewer than three steps were answered, which make no curve."""
    answered = [point for point in points if point.figures.answered]
    if len(answered) < 3:
        return ""
    x = from_zero([point.per_second for point in answered], _LEFT, _RIGHT)
    y = from_zero([point.figures.percentile_ms(0.99) for point in answered], _BOTTOM, _TOP)
    parts = [
        '<text class="title" x="20" y="24">Throughput against latency</text>\n',
        '<text class="unit" x="20" y="42">ms; the numbers at the points are callers</text>\n',
        _grid(x, y),
        *(_curve(answered, name, x, y) for name in reversed(SHARES)),
        _callers(answered, x, y),
        _mark(answered, x, y),
    ]
    return svg(_WIDTH, _HEIGHT, "Throughput against latency", "".join(parts))


def _grid(x: Axis, y: Axis) -> str:
    parts = [f'<text class="unit" x="{_RIGHT}" y="{_BOTTOM + 42}" text-anchor="end">answers a second</text>\n']
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>\n')
        parts.append(f'<text class="unit" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{written(tick)}</text>\n')
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{_BOTTOM}" y2="{_BOTTOM + 5}"/>\n')
        parts.append(
            f'<text class="unit" x="{at:.1f}" y="{_BOTTOM + 22}" text-anchor="middle">{written(tick)}</text>\n'
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>\n')
    return "".join(parts)


def _curve(points: Sequence[Point], name: str, x: Axis, y: Axis) -> str:
    places = [(x.at(point.per_second), y.at(point.figures.percentile_ms(SHARES[name]))) for point in points]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    dots = "".join(
        f'<circle class="line {name}" style="fill: currentColor; color: inherit" cx="{a:.1f}" cy="{d:.1f}" r="2"/>\n'
        for a, d in places
    )
    across, down = places[-1]
    return (
        f'<polyline class="line {name}" points="{path}"/>\n{dots}'
        f'<text class="{name}" x="{across + 10:.1f}" y="{down + 4:.1f}">{name}</text>\n'
    )


def _callers(points: Sequence[Point], x: Axis, y: Axis) -> str:
    """How many callers, above the points of p99, but for points that lie too close to the one before."""
    parts, last = [], (-100.0, -100.0)
    for point in points:
        across, down = x.at(point.per_second), y.at(point.figures.percentile_ms(0.99))
        if abs(across - last[0]) + abs(down - last[1]) > _CLOSE:
            parts.append(
                f'<text class="unit" x="{across - 7:.1f}" y="{down - 7:.1f}" text-anchor="end">{point.callers}</text>\n'
            )
            last = (across, down)
    return "".join(parts)


def _mark(points: Sequence[Point], x: Axis, y: Axis) -> str:
    best = knee(points)
    if best is None:
        return ""
    across, down = x.at(best.per_second), y.at(best.figures.percentile_ms(0.50))
    words = f"knee: {written(best.per_second)} a second with {best.crowd}"
    gains = [x.at(point.per_second) for point in points]
    costs = [y.at(point.figures.percentile_ms(0.50)) for point in points]
    chord = (
        f'x1="{min(gains):.1f}" y1="{max(costs):.1f}" x2="{max(gains):.1f}" y2="{min(costs):.1f}"'  # y runs downwards
    )
    return (
        f'<line class="ray" {chord}/>\n'
        f'<line class="ray" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>\n'
        f'<circle class="mark" cx="{across:.1f}" cy="{down:.1f}" r="8"/>\n'
        f'<text class="knee" x="{_RIGHT}" y="24" text-anchor="end">{words}</text>\n'
        f'<text class="knee" x="{_RIGHT}" y="42" text-anchor="end">{_times(best)}</text>\n'
    )


def _times(point: Point) -> str:
    return ", ".join(f"{name} {written(point.figures.percentile_ms(share))} ms" for name, share in SHARES.items())
