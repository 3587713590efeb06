"""The population stability index: by how much a distribution has moved away from another one."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def stability_index(expected: Array, actual: Array) -> float:
    """Σ (a − e) · ln(a / e) over the shares ``e`` and ``a`` of the bins that ``expected`` and ``actual`` [bins] count.

    0 where the shares are equal, and never less. By custom under 0.1 is no change to speak of, and over 0.25 one that
    asks for a new look at the model (N. Siddiqi, Credit Risk Scorecards, 2006). Without any change it is about
    (bins − 1) · (1/n + 1/m) for n and m rows, and spreads as χ² does with bins − 1 degrees of freedom (B. Yurdakul,
    Statistical Properties of Population Stability Index, 2018). A share of less than half a row of those expected is
    taken as that, or one row in a bin that was empty would be infinitely much.
    """
    least = 0.5 / expected.sum()
    shares = np.maximum(expected / expected.sum(), least)
    found = np.maximum(actual / actual.sum(), least)
    return float(np.sum((found - shares) * np.log(found / shares)))
