"""Axes: from figures to places in a picture, with ticks at round figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Axis:
    """``low`` is at ``start`` and ``high`` at ``end``, in the picture's units, where y runs downwards."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where ``value`` is; what lies outside is put at the edge."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round figures within the axis, some three to eight of them."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1, 2, 5) if len(decades) <= 4 else (1,)
            marks = [factor * 10.0**decade for decade in decades for factor in factors]
            return [mark for mark in marks if self.low <= mark <= self.high]
        step = tick_step(self.high - self.low)
        return [self.low + step * index for index in range(int((self.high - self.low) / step + 1e-9) + 1)]


def tick_step(span: float, wanted: int = 5) -> float:
    """A round step that divides ``span`` into about ``wanted`` parts, never fewer than half as many."""
    rough = span / wanted
    decade = 10.0 ** math.floor(math.log10(rough))
    return next(step * decade for step in _STEPS if step * decade >= rough * 0.999)


def from_zero(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis from 0 to a round figure that has room for all ``values``."""
    highest = max([*values, 0.0]) or 1.0
    step = tick_step(highest)
    return Axis(0.0, math.ceil(highest / step - 1e-9) * step, start, end)


def over_decades(values: Sequence[float], start: float, end: float) -> Axis:
    """A logarithmic axis that has room for all ``values`` above 0, and at least one decade."""
    above = [value for value in values if value > 0] or [1.0]
    low = _round_down(min(above))
    return Axis(low, max(_round_up(max(above)), low * 10), start, end, logarithmic=True)


def written(value: float) -> str:
    """A figure on an axis or beside a bar, with no more digits than it needs."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def _round_down(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return max(factor for factor in (1, 2, 5) if factor * decade <= value * 1.001) * decade


def _round_up(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return min(factor for factor in (1, 2, 5, 10) if factor * decade >= value * 0.999) * decade
