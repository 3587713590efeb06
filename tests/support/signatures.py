"""Signatures that the tests of the protocols read requests against, and requests drawn from a signature."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import strategies as st

from secure_ml_api.errors import Refusal, SignatureMismatch
from secure_ml_api.tensors import NUMPY_DTYPES, Column, Signature, Tensors

T = TypeVar("T")

IRIS = Signature(
    task="classification",
    columns=tuple(Column(name=name) for name in ("sepal length", "sepal width", "petal length", "petal width")),
    classes=(0, 1, 2),
    labels=("setosa", "versicolor", "virginica"),
)
# A score that may be missing, an age within bounds, one of two cities and any text.
MIXED = Signature(
    task="regression",
    columns=(
        Column(name="age", minimum=0, maximum=120),
        Column(name="city", datatype="BYTES", choices=("Bern", "Genève")),
        Column(name="score", datatype="FP64", allow_missing=True),
        Column(name="note", datatype="BYTES"),
        Column(name="visits", datatype="INT16"),
    ),
)
ONE = Signature(task="anomaly", columns=(Column(name="reading", datatype="FP64", minimum=-5.5),))
COUNTS = Signature(task="regression", columns=tuple(Column(name=name, datatype="INT64") for name in ("a", "b")))
FLAGS = Signature(task="regression", columns=(Column(name="on", datatype="BOOL"), Column(name="off", datatype="BOOL")))
TEXT = Signature(
    task="classification",
    columns=(Column(name="text", datatype="BYTES"),),
    classes=("ham", "spam"),
    labels=("ham", "spam"),
    has_probabilities=False,
)
GAPS = Signature(task="regression", columns=(Column(name="may", allow_missing=True), Column(name="must")))
IMAGE = Signature(
    task="regression",
    columns=tuple(Column(name=f"pixel_{place}", datatype="UINT8", maximum=16) for place in ("0_0", "0_1")),
    row_shape=(1, 2),
)
ALL = (IRIS, MIXED, ONE, COUNTS, FLAGS, TEXT, GAPS)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def cells(column: Column) -> st.SearchStrategy[Any]:
    """Values that ``column`` takes, exactly representable in its datatype."""
    if column.choices is not None:
        return st.sampled_from(column.choices)
    match column.datatype:
        case "BYTES":
            return _TEXT
        case "BOOL":
            return st.booleans()
        case "INT16":
            return st.integers(-(2**15), 2**15 - 1)
        case "INT64":
            return st.integers(-(2**63), 2**63 - 1)
    width: Literal[32, 64] = 32 if column.datatype == "FP32" else 64
    numbers = st.floats(column.minimum, column.maximum, width=width, allow_nan=False, allow_infinity=False)
    return numbers | st.none() if column.allow_missing else numbers


def tables(signature: Signature, most_rows: int = 5) -> st.SearchStrategy[list[list[Any]]]:
    """Rows, each a list of cells in the order of the columns, that fit ``signature``."""
    return st.lists(st.tuples(*map(cells, signature.columns)).map(list), min_size=1, max_size=most_rows)


def mismatch(read: Callable[[], object]) -> SignatureMismatch:
    """The SignatureMismatch that ``read`` must raise."""
    with pytest.raises(SignatureMismatch) as caught:
        read()
    return caught.value


def places(refusal: SignatureMismatch) -> list[tuple[int | None, str | None]]:
    """Row and feature of every misfit."""
    return [(misfit.row, misfit.feature) for misfit in refusal.misfits]


def words(refusal: Refusal) -> str:
    """All that the refusal tells its caller, as one text."""
    misfits = refusal.misfits if isinstance(refusal, SignatureMismatch) else ()
    return "\n".join([refusal.detail, *(f"{misfit.row} {misfit.feature} {misfit.detail}" for misfit in misfits)])


def read_or_refused(read: Callable[[], T]) -> T | Refusal:
    """What ``read`` gives, or the Refusal it raises; anything else that it raises fails the test."""
    try:
        return read()
    except Refusal as refusal:
        return refusal


def column_of(tensors: Tensors, signature: Signature, index: int) -> list[Any]:
    """The cells of one column, which must have the column's datatype; NaN as None."""
    column = signature.columns[index]
    tensor = tensors["input"][:, index] if signature.is_matrix else tensors[column.name][:, 0]
    assert tensor.dtype == NUMPY_DTYPES[column.datatype]
    return [None if isinstance(cell, float) and isnan(cell) else cell for cell in tensor.tolist()]
