"""Where a server is best used: the knee of throughput against latency."""

from __future__ import annotations

from collections.abc import Sequence

from .record import Point

METHOD = (
    "The knee is the step with the greatest power, throughput divided by median latency. Before it, more callers bring"
    " more answers; after it, they mostly bring waiting. With callers that ask again at once, it lies where doubling"
    " them no longer brings 1.4 times the answers."
)


def knee(points: Sequence[Point]) -> Point | None:
    """The point with the greatest *power*, throughput divided by median latency; None without answers.

    That is where a straight line from the origin just touches the curve of latency over throughput (Kleinrock, "Power
    and deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979; Jain, "The Art of
    Computer Systems Performance Analysis", 1991, section 3.3, calls its throughput the knee capacity). Unlike the point
    farthest from the chord (Kneedle), it does not move when a run goes on for longer past saturation.
    """
    answered = [point for point in points if point.figures.answered and point.figures.percentile_ms(0.5) > 0]
    return max(answered, key=power, default=None)


def power(point: Point) -> float:
    """Answers a second for each millisecond that half of them took at most; 0 without answers."""
    median_ms = point.figures.percentile_ms(0.5)
    return point.per_second / median_ms if median_ms else 0.0
