"""Named tensors as callers send them, held against a signature → the tensors that the model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import Misfit, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Column, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]


def fit_tensors(given: Mapping[str, Array], signature: Signature) -> Tensors:
    """``given`` in the signature's names, shapes and order, values within bounds; raises SignatureMismatch."""
    expected = {spec.name: spec for spec in signature.inputs}
    missing = [Misfit("this input is missing", feature=name) for name in expected if name not in given]
    if missing or len(given) > len(expected):
        names = ", ".join(list(expected)[:20])
        raise SignatureMismatch(f"the model takes exactly these inputs: {names}", missing)
    tensors = {name: _shaped(name, given[name], spec.shape) for name, spec in expected.items()}
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        raise SignatureMismatch("the inputs do not have the same number of rows")
    _check_values(tensors, signature)
    return tensors


def join_columns(given: Mapping[str, Array], signature: Signature) -> Mapping[str, Array]:
    """One input per column, as data frames are sent, joined to the one matrix that an all-number model takes.

    Number columns of other datatypes are converted; anything else is left for ``fit_tensors`` to judge.
    """
    dtype = NUMPY_DTYPES[signature.columns[0].datatype]
    if not signature.is_matrix or set(given) != set(signature.column_names):
        return given
    columns = [given[name].reshape(-1, 1) for name in signature.column_names]
    if len({len(column) for column in columns}) > 1 or any(column.dtype.kind not in "fiub" for column in columns):
        return given
    return {"input": np.hstack([column.astype(dtype) for column in columns])}


def _shaped(name: str, tensor: Array, shape: tuple[int, ...]) -> Array:
    """``tensor`` as [rows, …]; a column [rows, 1] may come as [rows]."""
    if shape == (-1, 1) and tensor.ndim == 1:
        return tensor.reshape(-1, 1)
    if tensor.ndim != len(shape) or tensor.shape[1:] != shape[1:]:
        wanted = ", ".join("rows" if size == -1 else str(size) for size in shape)
        detail = f"expected shape [{wanted}], got {list(tensor.shape)}"
        raise SignatureMismatch("an input does not have the model's shape", [Misfit(detail, feature=name)])
    return tensor


def _check_values(tensors: Tensors, signature: Signature) -> None:
    misfits: list[Misfit] = []
    for index, column in enumerate(signature.columns):
        if column.minimum is None and column.maximum is None and column.choices is None:
            continue
        values = tensors["input"][:, index] if signature.is_matrix else tensors[column.name][:, 0]
        misfits.extend(Misfit(_bounds(column), row=int(row), feature=column.name) for row in _outside(values, column))
    if misfits:
        raise SignatureMismatch("some rows do not fit the model", misfits)


def _outside(values: Array, column: Column) -> Array:
    """Indices of the first hundred rows whose value is out of bounds."""
    if column.choices is not None:
        wrong = ~np.isin(values.astype(str), column.choices)
    else:
        wrong = np.zeros(len(values), dtype=bool)
        if column.minimum is not None:
            wrong |= values < column.minimum
        if column.maximum is not None:
            wrong |= values > column.maximum
    return np.flatnonzero(wrong)[:100]


def _bounds(column: Column) -> str:
    if column.choices is not None:
        return "must be one of the values that the model was trained on"
    parts = []
    if column.minimum is not None:
        parts.append(f"at least {column.minimum:g}")
    if column.maximum is not None:
        parts.append(f"at most {column.maximum:g}")
    return f"must be {' and '.join(parts)}"
