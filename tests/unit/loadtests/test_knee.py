"""The knee of throughput against latency."""

from __future__ import annotations

import pytest

from loadtests.figures import Figures
from loadtests.knee import knee
from loadtests.record import Point


def closed_loop(callers: int, capacity: int, service_ms: float) -> Point:
    """A server of one resource and callers that ask again at once: throughput and latency by Little's law."""
    per_second = min(callers * 1000 / service_ms, capacity)
    latency_ms = callers * 1000 / per_second
    return Point(f"step {callers}", callers, 1, Figures("", round(per_second), 0, {latency_ms: round(per_second)}))


@pytest.mark.parametrize("most", [16, 64, 4096])
def test_the_knee_is_where_saturation_begins_however_far_the_run_goes(most: int) -> None:
    counts = [callers for callers in (1, 2, 3, 5, 8, 12, 16, 64, 256, 4096) if callers <= most]
    found = knee([closed_loop(callers, capacity=800, service_ms=10) for callers in counts])
    assert found is not None
    assert found.callers == 8  # 800 a second of 10 ms each keep eight callers busy


def test_a_step_without_answers_is_no_knee() -> None:
    failed = Point("step 2", 2, 1, Figures("", 50, 50))
    assert knee([failed]) is None
    assert knee([]) is None
    answered = closed_loop(1, capacity=800, service_ms=10)
    assert knee([failed, answered]) is answered


def test_a_step_that_brings_little_for_much_latency_is_past_the_knee() -> None:
    curve = [(840, 0.85), (951, 1.8), (1261, 1.6), (1341, 2.6), (1084, 6.0), (1312, 7.1)]
    points = [Point(f"step {n}", n, 1, Figures("", count, 0, {ms: count})) for n, (count, ms) in enumerate(curve)]
    found = knee(points)
    assert found is not None
    assert found.per_second in (1261, 1341)
