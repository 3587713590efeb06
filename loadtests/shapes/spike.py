"""A sudden multiple of the usual callers for some seconds, and what becomes of them and of those that come after."""

from __future__ import annotations

from .stage import FASTEST, Load, Shape, Stage, spawn_seconds

BEFORE, SPIKE, AFTER = "before", "spike", "after"


def stages(load: Load) -> tuple[Stage, ...]:
    """``load.seconds`` of the usual callers, a third of that with ``load.times`` as many at once, and as before."""
    start = spawn_seconds(load.users, load.spawn_rate) + 1
    leave = spawn_seconds(load.users * (load.times - 1), FASTEST)
    return (
        Stage(BEFORE, load.users, load.seconds + start, load.spawn_rate, settle_seconds=start),
        Stage(SPIKE, load.users * load.times, max(2, load.seconds // 3), FASTEST),
        Stage(AFTER, load.users, leave + load.seconds, FASTEST, settle_seconds=leave),
    )


SHAPE = Shape(
    "spike",
    "usual callers, a sudden multiple of them for some seconds, and usual callers again",
    Load(users=16, seconds=20),
    stages,
    ("row", "mixed"),
    refusals=True,
    one_token=True,
)
