"""Nearest neighbours by brute force over all training rows at once, where the stock graph walks them one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..table import Array
from .writer import Inapplicable, Writer, write_label

# Numbers in the training rows above which three operators for each feature are slower than the stock graph.
_MOST_DIFFERENCES = 20_000
_EUCLIDEAN = {"euclidean", "l2", "sqeuclidean"}


def by_product(dtype: type[np.floating[Any]] | None = None) -> Callable[[Any, Any, Any], None]:
    """A converter that ranks training rows y for a row x by x·y − ‖y‖²/2, which is one matrix product.

    That orders them as ‖x − y‖² does, from the nearest on. Both are first moved by about the training rows' mean,
    which changes no distance and keeps the numbers small. ``dtype`` is what is reckoned in, by default the graph's own
    type.
    """

    def convert(scope: Any, operator: Any, container: Any) -> None:
        writer = Writer(scope, operator, container)
        rows = _training_rows(writer.model)
        reckoned = dtype or writer.dtype
        given = writer.given if reckoned == writer.dtype else writer.cast(writer.given, reckoned)
        centre = _centre(rows, reckoned)
        moved = rows - centre
        centred = writer.node("Sub", given, writer.numbers(centre, reckoned))
        offsets = writer.numbers(-0.5 * np.square(moved).sum(axis=1), reckoned)
        closeness = writer.node("Gemm", centred, writer.numbers(moved.T, reckoned), offsets)
        _answer(writer, closeness, largest=1)

    return convert


def by_differences(dtype: type[np.floating[Any]] | None = None) -> Callable[[Any, Any, Any], None]:
    """A converter that ranks training rows by the sum of squared differences, as exactly as ``dtype`` allows.

    It takes three operators for each feature, so it is for small training sets.
    """

    def convert(scope: Any, operator: Any, container: Any) -> None:
        writer = Writer(scope, operator, container)
        rows = _training_rows(writer.model)
        if rows.size > _MOST_DIFFERENCES:
            raise Inapplicable("too many training rows to take differences of")
        reckoned = dtype or writer.dtype
        given = writer.given if reckoned == writer.dtype else writer.cast(writer.given, reckoned)
        distances = ""
        for feature, values in enumerate(rows.T):
            column = writer.node("Gather", given, writer.integers([feature]), axis=1)
            difference = writer.node("Sub", column, writer.numbers(values[np.newaxis, :], reckoned))
            square = writer.node("Mul", difference, difference)
            distances = writer.node("Add", distances, square) if distances else square
        _answer(writer, distances, largest=0)

    return convert


def _answer(writer: Writer, ranks: str, *, largest: int) -> None:
    """From ``ranks`` [rows, training rows] to the answer of the model: votes for classes, or the mean of values."""
    model = writer.model
    count = writer.integers([model.n_neighbors])
    nearest = writer.second("TopK", ranks, count, axis=1, largest=largest, sorted=0)
    targets = np.asarray(model._y)  # noqa: SLF001 - what the model was fitted on is kept nowhere else
    if targets.ndim > 1 and targets.shape[1] > 1:
        raise Inapplicable("several answers a row")
    targets = targets.reshape(-1)
    axis = writer.integers([1])
    if not hasattr(model, "classes_"):
        values = writer.node("Gather", writer.numbers(targets), nearest)
        writer.node("ReduceMean", values, axis, keepdims=1, to=writer.outputs[0])
        return
    votes = np.eye(len(model.classes_))[targets]
    cast = writer.node("Gather", writer.numbers(votes), nearest)
    writer.node("ReduceMean", cast, axis, keepdims=0, to=writer.outputs[1])
    write_label(writer, writer.outputs[1], model.classes_)


def _centre(rows: Array, dtype: type[np.floating[Any]]) -> Array:
    """About the mean of ``rows``, as a number that ``dtype`` holds, so that both sides are moved by exactly the same.

    Whole where the rows are: sums of small whole numbers are exact, and so are ties between them.
    """
    mean = rows.mean(axis=0)
    whole = (rows == np.floor(rows)).all(axis=0)
    centre: Array = np.where(whole, np.rint(mean), mean).astype(dtype).astype(np.float64)
    return centre


def _training_rows(model: Any) -> Array:
    """float64 [training rows, features]; raises Inapplicable for neighbours that are ranked otherwise."""
    rows = model._fit_X  # noqa: SLF001 - what the model was fitted on is kept nowhere else
    if model.effective_metric_ not in _EUCLIDEAN or model.weights != "uniform" or not isinstance(rows, np.ndarray):
        raise Inapplicable("neighbours that are weighted, sparse or not Euclidean")
    return np.asarray(rows, dtype=np.float64)
