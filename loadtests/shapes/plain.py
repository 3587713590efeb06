"""The same callers all the time."""

from __future__ import annotations

from .stage import Load, Shape, Stage, spawn_seconds

_EVERY = ("row", "batch", "mixed", "churn")


def stages(load: Load) -> tuple[Stage, ...]:
    """One, measured from when all callers are there, or from its half where it is too short for that."""
    settle = min(spawn_seconds(load.users, load.spawn_rate), load.seconds // 2)
    return (Stage("load", load.users, load.seconds, load.spawn_rate, settle),)


PLAIN = Shape("plain", "the same callers all the time", Load(users=16, seconds=30), stages, _EVERY)
SMOKE = Shape("smoke", "a few seconds of every scenario, to see that all of it works", Load(8, 5), stages, _EVERY)
