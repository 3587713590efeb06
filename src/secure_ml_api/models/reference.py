"""How the features of a model were distributed in the sample that it was packed with, for comparison with its callers'.

A histogram holds counts and cut points, and no row of the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..tensors import Name, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]
Count = Annotated[int, Field(ge=0)]

MOST_FEATURES = 64
"""Of a model with more columns of numbers, so many that are evenly spaced have a histogram."""
LEAST_ROWS = 100
"""A smaller sample gives no reference: its own chance would be taken for a change."""
# Deciles are what the index is customarily computed on. Fewer than 20 rows a bin would make chance alone alarming: see
# docs/decisions/0013-drift.md.
_MOST_BINS = 10
_LEAST_ROWS_OF_A_BIN = 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Histogram(_Frozen):
    """One feature: how many rows of the sample are at or below each of ``cuts`` and above the one before, then above
    the last, and then without a finite number."""

    name: Name
    cuts: Annotated[tuple[float, ...], Field(min_length=1, max_length=_MOST_BINS - 1)]
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if any(low >= high for low, high in zip(self.cuts, self.cuts[1:], strict=False)):
            raise ValueError(f"the cut points of {self.name} do not rise")
        if len(self.counts) != len(self.cuts) + 2:
            raise ValueError(f"{self.name} has a count for each side of a cut point, and one for what is missing")
        return self

    @classmethod
    def of(cls, name: str, values: Array) -> Self | None:
        """The histogram of ``values`` [rows]: of few rows a coarser one, None where no two finite values differ."""
        numbers = values.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        if not finite.size or finite.min() == finite.max():
            return None
        bins = max(2, min(_MOST_BINS, finite.size // _LEAST_ROWS_OF_A_BIN))
        inner = np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf")
        # Nothing is above the highest value: where many rows have it, the bin ends below them.
        below = finite[finite < finite.max()].max()
        cuts = np.unique(np.minimum(inner, below))
        counts = np.bincount(places(numbers, cuts), minlength=len(cuts) + 2)
        return cls(name=name, cuts=tuple(cuts.tolist()), counts=tuple(counts.tolist()))


class Reference(_Frozen):
    """The histograms of a sample of ``rows`` rows."""

    rows: Annotated[int, Field(ge=1)]
    features: Annotated[tuple[Histogram, ...], Field(min_length=1, max_length=MOST_FEATURES)]

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if len({feature.name for feature in self.features}) != len(self.features):
            raise ValueError("two histograms are of the same feature")
        for feature in self.features:
            if sum(feature.counts) != self.rows:
                raise ValueError(f"the counts of {feature.name} are not those of {self.rows} rows")
        return self

    @classmethod
    def of(cls, inputs: Tensors, signature: Signature) -> Self | None:
        """The reference in ``inputs``, the input tensors of ``signature``.

        None for fewer than LEAST_ROWS rows, and where no feature is a number that varies.
        """
        rows = len(next(iter(inputs.values())))
        if rows < LEAST_ROWS:
            return None
        made = (Histogram.of(name, values) for name, values in _some_numbers(inputs, signature))
        features = tuple(histogram for histogram in made if histogram is not None)
        return cls(rows=rows, features=features) if features else None


def places(values: Array, cuts: Array) -> Array:
    """The number of the bin of each of ``values``, float64 [rows], between ``cuts``, which rise."""
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="left"), len(cuts) + 1)


def _some_numbers(inputs: Tensors, signature: Signature) -> Iterator[tuple[str, Array]]:
    """Columns of numbers and their values, as many as a reference may have."""
    numbers = [(at, column.name) for at, column in enumerate(signature.columns) if not column.is_text]
    if len(numbers) > MOST_FEATURES:
        numbers = [numbers[at] for at in np.linspace(0, len(numbers) - 1, MOST_FEATURES).astype(int)]
    for at, name in numbers:
        yield name, inputs[signature.inputs[0].name][:, at] if signature.is_matrix else inputs[name].reshape(-1)
