"""A table of features by name, as a sample holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PackingError
from ..tensors import MOST_ROW_AXES, NUMPY_DTYPES, Datatype, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]

# The first whole number that float32 cannot tell from the next one is just above this.
_EXACT_BELOW = 2.0**24


@dataclass(frozen=True, slots=True)
class Table:
    """``columns``: name → float64 [rows], NaN where a value is missing, or object [rows] of ``str``, None where one is.

    ``row_shape`` is the shape in which callers send a row, and ``datatype`` that of their numbers where it is neither
    FP32 nor FP64. In the columns ``truths`` some numbers were truth values: 1 stands for true and 0 for false.
    """

    columns: Mapping[str, Array]
    row_shape: tuple[int, ...] = ()
    datatype: Datatype | None = None
    truths: frozenset[str] = frozenset()

    @classmethod
    def of_matrix(cls, matrix: Array, names: Sequence[str]) -> Table:
        """A table of numbers from ``matrix`` [rows, columns]."""
        return cls({name: np.asarray(matrix[:, index], dtype=np.float64) for index, name in enumerate(names)})

    @classmethod
    def of_images(cls, images: Array) -> Table:
        """A table of ``images``, uint8 or float [rows, height, width, …]; a column is one pixel, or one of its colours.

        Raises PackingError for arrays of other numbers, and of more axes than a row may have.
        """
        shape = images.shape[1:]
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise PackingError(f"images are uint8 or floating-point numbers; these are {images.dtype}")
        if not 1 <= len(shape) <= MOST_ROW_AXES or not images.size:
            raise PackingError(f"an array of shape {list(images.shape)} is no rows of 1 to {MOST_ROW_AXES} axes")
        names = ["pixel_" + "_".join(map(str, place)) for place in np.ndindex(*shape)]
        flat = cls.of_matrix(images.reshape(len(images), -1), names)
        return cls(flat.columns, shape, "UINT8" if images.dtype == np.uint8 else None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def is_text(self, name: str) -> bool:
        return self.columns[name].dtype == np.object_

    def require_texts(self, names: Iterable[str], rows: str, remedy: str) -> None:
        """Raise PackingError where a column of text among ``names`` has a cell without; ``rows`` is what they are."""
        for name in names:
            if not self.is_text(name):
                continue
            for row, cell in enumerate(self.columns[name].tolist(), start=1):
                if not isinstance(cell, str):
                    where = f"{name!r} has no text in row {row} of the {rows}, which no caller may send"
                    raise PackingError(f"{where}; {remedy} (an empty cell of CSV is a missing text, not an empty one)")

    def take(self, rows: Array) -> Table:
        """The rows with the given indices, or of a boolean mask."""
        return self._with({name: values[rows] for name, values in self.columns.items()})

    def select(self, names: Sequence[str]) -> Table:
        """The columns ``names`` in their order; some of them, or another order, have no shape any more."""
        columns = {name: self.columns[name] for name in names}
        return self._with(columns) if tuple(names) == self.names else Table(columns, truths=self.truths & set(names))

    def rounded(self, datatype: Datatype, toward: float | None = None) -> Table:
        """Numbers as ``datatype`` holds them, back in float64; with ``toward``, moved one step of it that way.

        Whole numbers stay: they are exact in every datatype, and codes would turn into codes that do not exist.
        """
        dtype = NUMPY_DTYPES[datatype]
        if dtype.kind != "f":
            toward = None
        columns = {}
        for name, values in self.columns.items():
            if self.is_text(name):
                columns[name] = values
                continue
            cast = values.astype(dtype)
            if toward is not None:
                whole = (values == np.floor(values)) & (np.abs(values) < _EXACT_BELOW)
                cast = np.where(whole, cast, np.nextafter(cast, dtype.type(toward)))
            columns[name] = cast.astype(np.float64)
        return self._with(columns)

    def _with(self, columns: Mapping[str, Array]) -> Table:
        return Table(columns, self.row_shape, self.datatype, self.truths)

    def answers(self, target: str) -> Array:
        """The column of the true answers; raises PackingError when there is none of that name."""
        if target not in self.columns:
            raise PackingError(f"the data has no column {target!r} of true answers; it has {listed(self.names)}")
        return self.columns[target]

    def tensors(self, signature: Signature) -> Tensors:
        """The input tensors of ``signature``, from columns of its names; raises PackingError when one is missing."""
        missing = [name for name in signature.column_names if name not in self.columns]
        if missing:
            raise PackingError(
                f"the data has no column {missing[0]!r}, and has {listed(self.names)}; "
                f"the model takes {listed(signature.column_names)}"
            )
        if signature.is_matrix:
            spec = signature.inputs[0]
            stacked = np.column_stack([self.columns[name] for name in signature.column_names])
            return {spec.name: np.ascontiguousarray(stacked, dtype=NUMPY_DTYPES[spec.datatype])}
        return {
            spec.name: self.columns[spec.name].astype(NUMPY_DTYPES[spec.datatype]).reshape(-1, 1)
            for spec in signature.inputs
        }


def listed(names: Sequence[str]) -> str:
    """The first ten of ``names``, for a message."""
    return ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
