"""Rows as callers give them, held against what the model takes: by name where their columns have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .cells import MOST_BAD, Array, numbers, texts
from .errors import BadRequest, BadRow, InvalidRows

_MOST_NAMES = 20

Inputs = Sequence[Mapping[str, Any]]
"""What a model takes, as its metadata has it."""


class Tensor(NamedTuple):
    """One of the model's inputs, and the rows' elements as it takes them: numbers of its type, or UTF-8."""

    name: str
    datatype: str
    values: Array

    def piece(self, start: int, end: int) -> Tensor:
        return self._replace(values=self.values[start:end])


@dataclass(frozen=True, slots=True)
class Rows:
    """``array`` [rows, …]; where columns have names, ``labels``, ``frame`` has them."""

    array: Array
    labels: tuple[Any, ...] = ()
    frame: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self.labels))

    def columns(self, names: Sequence[str]) -> list[Array]:
        """Those called ``names``; raises InvalidRows where the columns have others."""
        _check_names(self.names, names)
        labels = dict(zip(self.names, self.labels, strict=True))
        return [np.asarray(self.frame[labels[name]]) for name in names]


def as_rows(given: Any) -> Rows:
    """``given``: an array or lists, or a frame of columns; raises BadRequest for what is no rows."""
    array = _as_array(given)
    if array.ndim < 2 or not len(array):
        raise BadRequest(f"rows are an array [rows, features] of one row at least, not {list(array.shape)}")
    labels = _labels(given)
    return Rows(array, labels, given) if labels else Rows(array)


def fitted(rows: Rows, inputs: Inputs) -> list[Tensor]:
    """``rows`` as the tensors of ``inputs``; raises InvalidRows, which says what does not fit and where.

    Columns with names go by them, whatever their order; those of an array by their place.
    """
    if len(inputs) == 1 and inputs[0]["datatype"] != "BYTES":
        return [_matrix(rows, inputs[0])]
    names = [spec["name"] for spec in inputs]
    if rows.labels:
        columns = rows.columns(names)
    else:
        _check_shape(rows.array, [len(names)], names)
        columns = list(rows.array.reshape(len(rows.array), -1).T)
    made = _each(columns, names, [spec["datatype"] for spec in inputs])
    return [
        Tensor(spec["name"], spec["datatype"], values.reshape(-1, *spec["shape"][1:]))
        for spec, values in zip(inputs, made, strict=True)
    ]


def _matrix(rows: Rows, spec: Mapping[str, Any]) -> Tensor:
    name, datatype, shape = spec["name"], spec["datatype"], spec["shape"][1:]
    features = (spec.get("parameters") or {}).get("features", ())  # which not every server tells
    if rows.labels and features:
        columns = _each(rows.columns(features), features, [datatype] * len(features))
        return Tensor(name, datatype, np.column_stack(columns))
    _check_shape(rows.array, shape, features)
    values, wrong = numbers(rows.array.reshape(len(rows.array), -1), datatype, features)
    _refuse(wrong)
    return Tensor(name, datatype, values.reshape(-1, *shape))


def _each(columns: Sequence[Array], names: Sequence[str], datatypes: Sequence[str]) -> list[Array]:
    """``columns`` [rows], each in its datatype; raises InvalidRows."""
    made, wrong = [], []
    for column, name, datatype in zip(columns, names, datatypes, strict=True):
        if datatype == "BYTES":
            values, bad = texts(column, name)
        else:
            values, bad = numbers(column.reshape(-1, 1), datatype, [name])
        made.append(values.reshape(-1))
        wrong += bad
    _refuse(wrong)
    return made


def _as_array(given: Any) -> Array:
    try:
        array = np.asarray(given)
        # Lists of words and numbers: NumPy makes words of all, of what is missing as well.
        return array if array.dtype.kind not in "US" or isinstance(given, np.ndarray) else np.asarray(given, object)
    except (TypeError, ValueError) as error:
        _refuse_lengths(given)
        raise BadRequest(f"rows are an array [rows, features] of numbers or texts: {error}") from None


def _refuse_lengths(given: Any) -> None:
    """Raise InvalidRows, which tells the first row of ``given`` that has not as many features as the first."""
    lengths = [len(row) if hasattr(row, "__len__") else 0 for row in given] if isinstance(given, list | tuple) else []
    for at, length in enumerate(lengths):
        if length != lengths[0]:
            bad = BadRow(at, None, f"has {length} features, and row 0 has {lengths[0]}")
            raise InvalidRows(f"the rows are not of one length: row {at} {bad.detail}", 0, {}, [bad]) from None


def _labels(given: Any) -> tuple[Any, ...]:
    """Those of the columns of a DataFrame or an Arrow table; none where they are but counted, from nought."""
    labels: tuple[Any, ...] = ()
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        labels = tuple(given.columns)
    elif hasattr(given, "column_names"):
        labels = tuple(given.column_names)
    return () if labels == tuple(range(len(labels))) else labels


def _check_names(given: Sequence[str], wanted: Sequence[str]) -> None:
    known, seen = set(wanted), set(given)
    bad = [BadRow(None, name, "this feature is missing") for name in wanted if name not in seen]
    bad += [BadRow(None, name, "the model has no such feature") for name in given if name not in known]
    if len(seen) < len(given):
        bad += [BadRow(None, name, "two columns have this name") for name in wanted if given.count(name) > 1]
    if bad:
        told = "; ".join(f"{row.feature!r}: {row.detail}" for row in bad[:_MOST_NAMES])
        remedy = f"give columns of exactly these names, or an array with the features in this order: {_listed(wanted)}"
        raise InvalidRows(f"the columns are not the model's features ({told}); {remedy}", 0, {}, bad[:MOST_BAD])


def _check_shape(array: Array, shape: Sequence[int], features: Sequence[str]) -> None:
    """Rows of the model's shape, or flat ones of as many numbers; axes of one are not looked at."""
    given = array.shape[1:]
    if prod(given) == prod(shape) and (
        len(given) == 1 or len(shape) == 1 or [n for n in given if n > 1] == [n for n in shape if n > 1]
    ):
        return
    if len(given) > 1 or len(shape) > 1:
        raise InvalidRows(f"the model takes rows of the shape {list(shape)}, and these have {list(given)}", 0, {}, [])
    named = f": {_listed(features)}" if features else ""
    raise InvalidRows(f"each row has {given[0]} features, and the model takes {shape[0]}{named}", 0, {}, [])


def _refuse(wrong: Sequence[BadRow]) -> None:
    if wrong:
        first = sorted(wrong, key=lambda bad: bad.row or 0)[:MOST_BAD]
        place = f"row {first[0].row}, {first[0].feature}: {first[0].detail}"
        more = "; and others" if len(wrong) > 1 else ""
        raise InvalidRows(f"some rows do not fit the model ({place}{more})", 0, {}, first)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_MOST_NAMES])) + (", …" if len(names) > _MOST_NAMES else "")
