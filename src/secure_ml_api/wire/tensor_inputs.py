"""Named tensors as callers send them, held against a signature → the tensors that the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np

from ..errors import Misfit, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Column, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]

_MAX_MISFITS = 100
# What follows the refusal of a truth value where the model takes numbers.
TRUTH_AS_NUMBER = "; for true send 1, and 0 for false"


def fit_tensors(given: Mapping[str, Array], signature: Signature) -> Tensors:
    """``given`` in the signature's names, shapes and order, values within bounds; raises SignatureMismatch."""
    expected = {spec.name: spec for spec in signature.inputs}
    missing = [Misfit("this input is missing", feature=name) for name in expected if name not in given]
    if missing or len(given) > len(expected):
        raise other_inputs(signature, missing)
    tensors = {name: _shaped(name, given[name], spec.shape, signature.row_shape) for name, spec in expected.items()}
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        raise SignatureMismatch("the inputs do not have the same number of rows")
    _check_values(tensors, signature)
    return tensors


def other_inputs(signature: Signature, misfits: Sequence[Misfit] = ()) -> SignatureMismatch:
    """The refusal of inputs that are not named as the model's; the names that came are not repeated."""
    names = [spec.name for spec in signature.inputs]
    return SignatureMismatch(f"the model takes exactly these inputs: {shortened(names)}", misfits)


def join_columns(given: Mapping[str, Array], signature: Signature) -> Mapping[str, Array]:
    """One input per column, as data frames are sent, joined to the one matrix that an all-number model takes.

    Numbers of other datatypes are converted where that keeps their value, up to the precision of the model's type;
    raises SignatureMismatch where it does not. Inputs with other names are left for ``fit_tensors`` to judge.
    """
    if not signature.is_matrix or set(given) != set(signature.column_names):
        return given
    columns = [converted(column, _shaped(column.name, given[column.name], (-1, 1))) for column in signature.columns]
    if len({len(column) for column in columns}) > 1:
        raise SignatureMismatch("the inputs do not have the same number of rows")
    return {"input": np.hstack(columns)}


def check_row_count(rows: int, max_rows: int) -> None:
    """Raise SignatureMismatch when a request has more rows than the server takes at once, or none."""
    if rows > max_rows:
        raise SignatureMismatch(f"a request may have {max_rows} rows; this one has {rows}")
    if rows == 0:
        raise SignatureMismatch("the request has no rows")


def shortened(names: Sequence[str]) -> str:
    """The first twenty of ``names``, for people."""
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def converted(column: Column, values: Array) -> Array:
    """``values`` in the datatype of ``column``; a truth value is no number, and a fraction no integer."""
    dtype = NUMPY_DTYPES[column.datatype]
    if values.dtype == dtype:
        return values
    if values.dtype.kind not in "iuf" or dtype.kind not in ("iuf" if values.dtype.kind in "iu" else "f"):
        is_number = dtype.kind in "iuf"
        detail = f"expected datatype {column.datatype}"
        if values.dtype.kind == "b" and is_number:
            detail += TRUTH_AS_NUMBER
        raise SignatureMismatch("an input does not have the model's datatype", [Misfit(detail, feature=column.name)])
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN becomes a quiet one
        made = values.astype(dtype)
    lost = np.isinf(made) & ~np.isinf(values) if dtype.kind == "f" else made != values
    if lost.any():
        detail = f"the number is too large for {column.datatype}"
        rows = np.flatnonzero(lost)[:_MAX_MISFITS]
        misfits = [Misfit(detail, row=int(row), feature=column.name) for row in rows]
        raise SignatureMismatch("some rows do not fit the model", misfits)
    return made


def _shaped(name: str, tensor: Array, shape: tuple[int, ...], row_shape: tuple[int, ...] = ()) -> Array:
    """``tensor`` as [rows, …]; a column [rows, 1] may come as [rows], and a flat row in its ``row_shape``."""
    if (shape == (-1, 1) and tensor.ndim == 1) or (row_shape and tensor.shape[1:] == row_shape):
        return tensor.reshape(-1, shape[1])
    if tensor.ndim != len(shape) or tensor.shape[1:] != shape[1:]:
        wanted = ", ".join("rows" if size == -1 else str(size) for size in (-1, *(row_shape or shape[1:])))
        detail = f"expected shape [{wanted}], got {list(tensor.shape)}"
        raise SignatureMismatch("an input does not have the model's shape", [Misfit(detail, feature=name)])
    return tensor


def _check_values(tensors: Tensors, signature: Signature) -> None:
    """Raise SignatureMismatch, naming the first hundred places row by row, where a value is out of bounds."""
    if signature.is_matrix and _is_within(tensors["input"], signature):
        return
    may_be_missing = any(tensor.dtype.kind == "f" and not np.isfinite(tensor).all() for tensor in tensors.values())
    places: list[tuple[int, int]] = []
    for index, column in enumerate(signature.columns):
        if not (may_be_missing or _is_bounded(column)):
            continue
        values = tensors["input"][:, index] if signature.is_matrix else tensors[column.name][:, 0]
        places.extend((row, index) for row in np.flatnonzero(_wrong(values, column))[:_MAX_MISFITS].tolist())
    if places:
        columns = signature.columns
        misfits = [
            Misfit(_bounds(columns[index]), row=row, feature=columns[index].name)
            for row, index in sorted(places)[:_MAX_MISFITS]
        ]
        raise SignatureMismatch("some rows do not fit the model", misfits)


def _is_within(matrix: Array, signature: Signature) -> bool:
    """Whether every value is finite and within its column's bounds, at a fraction of the cost of finding out which."""
    is_bounded = _is_anywhere_bounded(signature)
    if not len(matrix) or (matrix.dtype.kind != "f" and not is_bounded):
        return True
    lows, highs = _limits(signature)
    if not is_bounded:
        return bool(matrix.min() >= lows[0] and matrix.max() <= highs[0])  # four times quicker than column by column
    return bool((matrix.min(axis=0) >= lows).all() and (matrix.max(axis=0) <= highs).all())


@lru_cache(maxsize=512)
def _limits(signature: Signature) -> tuple[Array, Array]:
    """The least and the greatest value of each column, [columns] in the matrix's datatype; finite, so none is NaN."""
    dtype = NUMPY_DTYPES[signature.columns[0].datatype]
    if dtype.kind != "f":
        return _whole_limits(signature, dtype)
    span = np.finfo(dtype)
    lows = [span.min if column.minimum is None else column.minimum for column in signature.columns]
    highs = [span.max if column.maximum is None else column.maximum for column in signature.columns]
    with np.errstate(over="ignore"):
        return np.maximum(np.array(lows).astype(dtype), span.min), np.minimum(np.array(highs).astype(dtype), span.max)


def _whole_limits(signature: Signature, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The least and the greatest whole number of each column; one above the other where there is none."""
    span = np.iinfo(dtype if dtype.kind in "iu" else np.uint8)
    lows, highs = [], []
    for column in signature.columns:
        low = int(span.min) if column.minimum is None else max(int(span.min), ceil(column.minimum))
        high = int(span.max) if column.maximum is None else min(int(span.max), floor(column.maximum))
        is_empty = low > high
        lows.append(int(span.max) if is_empty else low)
        highs.append(int(span.min) if is_empty else high)
    return np.array(lows, dtype=span.dtype), np.array(highs, dtype=span.dtype)


@lru_cache(maxsize=512)
def _is_anywhere_bounded(signature: Signature) -> bool:
    return any(map(_is_bounded, signature.columns))


def _is_bounded(column: Column) -> bool:
    bounds = (column.minimum, column.maximum, column.choices, column.max_length)
    return any(bound is not None for bound in bounds)


def _wrong(values: Array, column: Column) -> Array:
    """Which of ``values`` [rows] the column does not take."""
    if column.choices is not None:
        known = frozenset(column.choices)
        return np.fromiter((value not in known for value in values), dtype=bool, count=len(values))
    if column.max_length is not None:
        return np.fromiter((len(value) > column.max_length for value in values), dtype=bool, count=len(values))
    wrong = np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "f":
        wrong |= np.isinf(values) if column.allow_missing else ~np.isfinite(values)
    with np.errstate(over="ignore"):  # a bound past the reach of FP32 bounds nothing
        if column.minimum is not None:
            wrong |= values < column.minimum
        if column.maximum is not None:
            wrong |= values > column.maximum
    return wrong


def _bounds(column: Column) -> str:
    if column.choices is not None:
        return "must be one of the values that the model was trained on"
    if column.max_length is not None:
        return f"expected at most {column.max_length} characters"
    parts = []
    if column.minimum is not None:
        parts.append(f"at least {column.minimum:.15g}")
    if column.maximum is not None:
        parts.append(f"at most {column.maximum:.15g}")
    return f"must be {' and '.join(parts)}" if parts else "expected a finite number"
