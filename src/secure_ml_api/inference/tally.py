"""How many of a model's rows fell into which bins of its reference lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..models.reference import Reference, places
from .stability import stability_index

Array = np.ndarray[Any, np.dtype[Any]]

# A window passes in so many steps: what comes counts at once, and goes when it is five to six sixths of a window old.
_SLICES = 6


class Bins:
    """The bins of all features of a reference, one after the other: counts of them are int64 [bins]."""

    def __init__(self, reference: Reference) -> None:
        self.names = tuple(feature.name for feature in reference.features)
        self._cuts = [np.array(feature.cuts) for feature in reference.features]
        self._expected = [np.array(feature.counts) for feature in reference.features]
        self._starts = np.cumsum([0, *map(len, self._expected)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def count(self, rows: Array) -> Array:
        """The counts of ``rows`` [rows, features]."""
        numbers = rows.astype(np.float64)
        found = [
            start + places(numbers[:, at], cuts)
            for at, (start, cuts) in enumerate(zip(self._starts, self._cuts, strict=False))
        ]
        return np.bincount(np.concatenate(found), minlength=len(self))

    def drift(self, counts: Array) -> dict[str, float]:
        """The population stability index of each feature."""
        found = np.split(counts, self._starts[1:-1])
        indices = map(stability_index, self._expected, found)
        return dict(zip(self.names, indices, strict=True))


class Tally:
    """One model's counts in one worker, over the last ``window_seconds``; ``now`` is on the monotonic clock."""

    def __init__(self, bins: Bins, window_seconds: float) -> None:
        self._bins = bins
        self._slice_seconds = window_seconds / _SLICES
        self._slices: dict[int, tuple[int, Array]] = {}

    def add(self, taken: Sequence[Array], now: float) -> None:
        """Count the rows of ``taken``, each [rows, features]."""
        if taken:
            number = self._number(now)
            rows, counts = self._slices.get(number, (0, np.zeros(len(self._bins), np.int64)))
            together = np.concatenate(taken)
            self._slices[number] = (rows + len(together), counts + self._bins.count(together))

    def counted(self, now: float) -> tuple[int, Array]:
        """How many rows there were lately, and their counts; what is older is forgotten."""
        oldest = self._number(now) - _SLICES + 1
        self._slices = {number: each for number, each in self._slices.items() if number >= oldest}
        counts = np.zeros(len(self._bins), np.int64)
        for _, each in self._slices.values():
            counts += each
        return sum(rows for rows, _ in self._slices.values()), counts

    def _number(self, now: float) -> int:
        return int(now // self._slice_seconds)
