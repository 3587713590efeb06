"""More than the server can take, for a while: it has to refuse politely, lose nobody, and be itself again at once."""

from __future__ import annotations

from .stage import FASTEST, Load, Shape, Stage, spawn_seconds

STRESS, AFTER = "stress", "after"
_AFTER_SECONDS = 10
_AFTER_SHARE = 32


def stages(load: Load) -> tuple[Stage, ...]:
    """``load.users`` for ``load.seconds`` once all are there, then a thirty-second of them for ten seconds more."""
    start = spawn_seconds(load.users, load.spawn_rate)
    left = max(1, load.users // _AFTER_SHARE)
    leave = spawn_seconds(load.users - left, FASTEST)
    return (
        Stage(STRESS, load.users, load.seconds + start, load.spawn_rate, settle_seconds=start),
        Stage(AFTER, left, leave + _AFTER_SECONDS, FASTEST, settle_seconds=leave + 2),
    )


SHAPE = Shape(
    "stress",
    "far more callers than the server has room for, then few",
    Load(users=512, seconds=30, spawn_rate=96),
    stages,
    ("heavy",),
    paced=False,
    refusals=True,
    one_token=True,
)
