"""Single values of rows as the model takes them: numbers of its type, or texts, and which are neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import BadRow

MOST_BAD = 100

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def numbers(values: Array, datatype: str, features: Sequence[str]) -> tuple[Array, list[BadRow]]:
    """``values`` [rows, features] as ``datatype``, and the first of those that are no number of it.

    What is missing becomes NaN, which the server judges: some models take it.
    """
    dtype = np.dtype(DTYPES[datatype])
    if values.dtype == dtype:
        return values, []
    if values.dtype.kind not in "biufOU":  # a complex number, or a time, would become another number
        return values, [BadRow(0, _feature(0, features), f"expected {datatype}, got {values.dtype}")]
    given = _with_nan(values) if values.dtype.kind == "O" else values
    with np.errstate(invalid="ignore", over="ignore"):  # what is past the type's reach is found below, or there
        try:
            made = np.ascontiguousarray(given, dtype)
            is_wrong = np.asarray(made != given, bool) if dtype.kind in "iub" else np.zeros(given.shape, bool)
        except (TypeError, ValueError, OverflowError):
            made, is_wrong = _one_by_one(given, dtype)
    places = np.argwhere(is_wrong)[:MOST_BAD].tolist()
    return made, [
        BadRow(row, _feature(column, features), f"expected {datatype}, got {_shown(values[row, column])}")
        for row, column in places
    ]


def texts(values: Array, feature: str) -> tuple[Array, list[BadRow]]:
    """``values`` [rows] as UTF-8, and the first of those that are none; of what is missing no word is made up."""
    made = np.empty(len(values), object)
    bad: list[BadRow] = []
    for row, value in enumerate(values):
        if len(bad) == MOST_BAD:
            break
        if is_missing(value):
            bad.append(BadRow(row, feature, "a text is missing; fill it in, or leave the row out"))
            continue
        try:
            made[row] = value if isinstance(value, bytes) else str(value).encode()
        except UnicodeEncodeError:
            bad.append(BadRow(row, feature, "the text is not Unicode"))
    return made, bad


def is_missing(value: Any) -> bool:
    """Whether ``value`` is None, NaN, or what pandas, which is not imported here, has instead of them."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float | np.generic) and bool(value != value)  # noqa: PLR0124 - so NaN is told


def _with_nan(values: Array) -> Array:
    given = values.copy()
    for at, value in np.ndenumerate(values):
        if is_missing(value):
            given[at] = np.nan
    return given


def _one_by_one(values: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """``values`` as ``dtype``, and which of them are no numbers of it."""
    made, is_wrong = np.zeros(values.shape, dtype), np.zeros(values.shape, bool)
    for at, value in np.ndenumerate(values):
        try:
            made[at] = value
            is_wrong[at] = dtype.kind in "iub" and bool(made[at] != value)
        except (TypeError, ValueError, OverflowError):
            is_wrong[at] = True
    return made, is_wrong


def _feature(column: int, features: Sequence[str]) -> str:
    return features[column] if features else f"column {column}"


def _shown(value: Any) -> str:
    told = value.item() if isinstance(value, np.generic) else value
    return f"{told!r:.40}"
