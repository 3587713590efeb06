"""Rows whose true answers are known, to measure a model by: a table of features, or arrays as callers send them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import PackingError
from ..tensors import NUMPY_DTYPES, Signature, Tensors
from .arrays import Arrays, is_archive, read_arrays
from .sample_file import first_text, read_sample_file
from .table import Table, listed

KnownRows: TypeAlias = Table | Arrays

# What answers are called where nobody says it.
_TARGETS = ("target", "y")


def read_known_rows(path: Path, signatures: Sequence[Signature], target: str | None) -> tuple[KnownRows, str]:
    """The rows in ``path`` for models of ``signatures``, and what the true answers are called in it.

    Without a ``target`` that is whichever of "target" and "y" there is. Raises PackingError.
    """
    try:
        is_arrays = is_archive(path)
    except OSError as error:
        raise PackingError(f"{path} cannot be read: {error.strerror}") from None
    if is_arrays:
        inputs = [spec.name for signature in signatures for spec in signature.sent_inputs]
        data: KnownRows = read_arrays(path, {*inputs, *((target,) if target is not None else _TARGETS)})
    else:
        text = {column.name for signature in signatures for column in signature.columns if column.is_text}
        data = read_sample_file(path, text=text)
        if data.row_shape:
            remedy = "np.savez('data.npz', input=images, target=answers) keeps both"
            raise PackingError(f"{path} has images and no true answers; {remedy}")
        inputs = [name for signature in signatures for name in signature.column_names]
    return data, target if target is not None else _target(path, data.names, inputs)


def inputs_of(data: KnownRows, signature: Signature) -> Tensors:
    """The input tensors of ``signature``; raises PackingError for cells that a caller could not send."""
    if isinstance(data, Table):
        _require_columns_of_numbers(data, signature)
        texts = [column.name for column in signature.columns if column.is_text and column.name in data.columns]
        data.require_texts(texts, "data", "leave such rows out, or fill them in as the training data was")
    with np.errstate(over="ignore"):  # what is too large for the datatype becomes infinite, and is refused by name
        tensors = data.tensors(signature)
    names = [[each.name for each in signature.columns]] if signature.is_matrix else [[name] for name in tensors]
    allow_missing = {column.name for column in signature.columns if column.allow_missing}
    for columns, tensor in zip(names, tensors.values(), strict=True):
        if tensor.dtype.kind == "f":
            is_required = np.array([column not in allow_missing for column in columns])
            wrong = np.isinf(tensor) | (np.isnan(tensor) & is_required)
            if wrong.any():
                row, at = np.argwhere(wrong)[0]
                raise PackingError(_no_number(columns[at], row + 1, is_missing=bool(np.isnan(tensor[row, at]))))
    return tensors


def _require_columns_of_numbers(data: Table, signature: Signature) -> None:
    """Raise PackingError for text where the model takes numbers, and for numbers that its whole ones cannot be."""
    for column in signature.columns:
        values, dtype = data.columns.get(column.name), NUMPY_DTYPES[column.datatype]
        if values is None or column.is_text:
            continue
        takes = f"the model takes {column.datatype}"
        if data.is_text(column.name):
            raise PackingError(f"{column.name!r} has text, {first_text(values)}; {takes}")
        if dtype.kind != "f":
            with np.errstate(invalid="ignore"):
                wrong = np.flatnonzero(values.astype(dtype) != values)
            if wrong.size:
                value = "missing" if np.isnan(values[wrong[0]]) else f"{values[wrong[0]]:g}"
                raise PackingError(f"{column.name!r} is {value} in row {wrong[0] + 1} of the data; {takes}")


def _no_number(name: str, row: int, *, is_missing: bool) -> str:
    what = "missing" if is_missing else "infinite, or larger than the model's numbers can be,"
    return f"{name!r} is {what} in row {row} of the data, which no caller may send; leave such rows out"


def _target(path: Path, names: Sequence[str], inputs: Sequence[str]) -> str:
    found = [name for name in _TARGETS if name in names and name not in inputs]
    if len(found) == 1:
        return found[0]
    why = "both 'target' and 'y'" if found else f"neither 'target' nor 'y' but {listed(names)}"
    raise PackingError(f"{path} has {why}; say with --target which are the true answers")
