"""All shapes by name."""

from __future__ import annotations

from . import soak, spike, steps, stress
from .plain import PLAIN, SMOKE
from .stage import Shape

SHAPES: dict[str, Shape] = {
    shape.name: shape for shape in (PLAIN, SMOKE, steps.SHAPE, spike.SHAPE, soak.SHAPE, stress.SHAPE)
}
