"""A moderate load for long, for what shows only after many requests: memory above all."""

from __future__ import annotations

from .plain import stages
from .stage import Load, Shape

SHAPE = Shape(
    "soak",
    "the same moderate load for long; the server's memory is followed",
    Load(users=16, seconds=1800),
    stages,
    ("row", "batch", "mixed", "churn"),
)
