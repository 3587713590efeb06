"""Rows for the example models: a typical one of each, and others near it, so that no two requests need be alike."""

from __future__ import annotations

import random

# One real row of each data set, in the order of the model's features.
TYPICAL: dict[str, tuple[float, ...]] = {
    "iris": (5.1, 3.5, 1.4, 0.2),
    "iris-tree": (6.7, 3.0, 5.2, 2.3),
    "cancer-svm": (
        *(17.99, 10.38, 122.8, 1001.0, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.07871),
        *(1.095, 0.9053, 8.589, 153.4, 0.006399, 0.04904, 0.05373, 0.01587, 0.03003, 0.006193),
        *(25.38, 17.33, 184.6, 2019.0, 0.1622, 0.6656, 0.7119, 0.2654, 0.4601, 0.1189),
    ),
    "housing": (0.00632, 18.0, 2.31, 0.0, 0.538, 6.575, 65.2, 4.09, 1.0, 296.0, 15.3, 4.98),
    "outliers": (0.5, -0.14, 0.65, 1.52, -0.23),
}
MODELS = tuple(TYPICAL)


def row(model: str, source: random.Random) -> list[float]:
    """A row that ``model`` takes: each feature within a tenth of the typical one."""
    return [round(value * source.uniform(0.9, 1.1), 6) for value in TYPICAL[model]]


def rows(model: str, count: int, source: random.Random) -> list[list[float]]:
    """``count`` rows that ``model`` takes."""
    return [row(model, source) for _ in range(count)]
