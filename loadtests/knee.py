"""Where a server is best used: the knee of throughput against latency."""

from __future__ import annotations

from collections.abc import Sequence

from .record import Point

METHOD = (
    "The knee is the step that lies farthest below the dotted line, which leads from the least throughput and median"
    " latency to the greatest, each scaled to its range (V. Satopää and others, Finding a “Kneedle” in a haystack,"
    " ICDCS Workshops 2011). Before it, more callers bring more answers; after it, they mostly bring waiting."
)


def knee(points: Sequence[Point]) -> Point | None:
    """The point farthest from the chord of the curve of median latency over throughput; None without answers.

    Both are scaled to their range, so that the distance is the difference of the two, as in Kneedle (Satopää, Albrecht,
    Irwin, Raghavan, "Finding a 'Kneedle' in a haystack", ICDCS Workshops 2011), without its smoothing and its online
    part: there are few points, and all are there. The longer a run goes on past saturation, the more latency it takes
    to move a point; steps end two steps after throughput has stopped growing.
    """
    answered = [point for point in points if point.figures.answered]
    if not answered:
        return None
    gains = _scaled([point.per_second for point in answered])
    costs = _scaled([point.figures.percentile_ms(0.5) for point in answered])
    distances = [gain - cost for gain, cost in zip(gains, costs, strict=True)]
    return answered[distances.index(max(distances))]


def _scaled(values: Sequence[float]) -> list[float]:
    """From 0 for the least to 1 for the greatest; all 0 when they are alike."""
    least, span = min(values), max(values) - min(values)
    return [(value - least) / span if span else 0.0 for value in values]
