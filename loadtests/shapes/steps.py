"""More callers step by step, until the server gives no more for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..record import Point
from ..thresholds import Threshold, broken
from .stage import FASTEST, Load, Shape, Stage

_FIRST = 1
_SETTLE_SECONDS = 2
# A step has to bring so much more than the best before it, or it brought nothing; two of these in a row end the run.
_LEAST_GAIN, _PATIENCE = 1.05, 2


def callers_of_steps(most: int, growth: float) -> list[int]:
    """Callers of each step: the first has one, each has ``growth`` times those of the one before, the last ``most``."""
    steps = [min(_FIRST, most)]
    while steps[-1] < most:
        steps.append(min(most, max(steps[-1] + 1, math.ceil(steps[-1] * growth))))
    return steps


def stages(load: Load) -> tuple[Stage, ...]:
    """A step of ``load.seconds`` for each number of callers, up to ``load.users``."""
    steps = callers_of_steps(load.users, load.growth)
    settle = min(_SETTLE_SECONDS, load.seconds // 2)
    return tuple(
        Stage(f"step {number}", callers, load.seconds, spawn_rate=min(callers, FASTEST), settle_seconds=settle)
        for number, callers in enumerate(steps, start=1)
    )


def stop(points: Sequence[Point], bounds: Threshold) -> str:
    """Why there should be no further step: the last one broke a bound, or throughput has stopped growing."""
    if not points:
        return ""
    for _, words in broken(bounds, points[-1].figures):
        return f"{points[-1].name} went past a bound: {words}"
    if len(points) <= _PATIENCE:
        return ""
    best_earlier = max(point.per_second for point in points[:-_PATIENCE])
    best_last = max(point.per_second for point in points[-_PATIENCE:])
    if best_last < _LEAST_GAIN * best_earlier:
        return (
            f"throughput has stopped growing: {best_last:.0f} a second in the last {_PATIENCE} steps,"
            f" {best_earlier:.0f} before"
        )
    return ""


SHAPE = Shape(
    "steps",
    "callers grow step by step until throughput does not, or a bound breaks",
    Load(users=256, seconds=10),
    stages,
    ("row",),
    paced=False,
    refusals=True,
    one_token=True,
    stop=stop,
)
