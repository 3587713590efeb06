"""What a pipeline's first steps say about its columns: which are text, which categories are closed, who imputes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .table import Array


@dataclass(frozen=True, slots=True)
class Categories:
    """Values that one column was fitted on; ``closed`` when the model refuses any other."""

    column: str
    is_text: bool
    values: tuple[Any, ...]
    closed: bool


def unwrapped(estimator: Any) -> Any:
    """The model inside a finished search, such as GridSearchCV."""
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    return estimator


def categories_of(estimator: Any, names: Sequence[str]) -> dict[str, Categories]:
    """Column → its categories, for the columns that an encoder reads as they come (or past an imputer)."""
    found: dict[str, Categories] = {}
    for encoder, columns in _encoders(unwrapped(estimator), tuple(names)):
        closed = getattr(encoder, "handle_unknown", "error") == "error"
        for column, values in zip(columns, encoder.categories_, strict=True):
            if column not in found or closed:
                found[column] = Categories(column, _is_text(values), tuple(values.tolist()), closed)
    return found


def imputes(estimator: Any) -> bool:
    """Whether any step fills in missing values, or reads them as they are."""
    estimator = unwrapped(estimator)
    kind = type(estimator).__name__
    if kind.endswith("Imputer") or kind.startswith("HistGradientBoosting"):
        return True
    steps = [step for _, step in getattr(estimator, "steps", [])]
    steps += [step for _, step, _ in getattr(estimator, "transformers_", [])]
    steps += [step for _, step in getattr(estimator, "transformer_list", [])]
    return any(imputes(step) for step in steps)


def with_positions(estimator: Any, names: Sequence[str]) -> Any:
    """A copy of ``estimator`` whose first column transformers choose columns by position instead of by name.

    The converter can then be given tensors with names of our own choice.
    """
    estimator = copy.deepcopy(unwrapped(estimator))
    _use_positions(estimator, tuple(names))
    return estimator


def _use_positions(estimator: Any, names: tuple[str, ...]) -> None:
    if hasattr(estimator, "transformers_"):
        branches = [(label, step, chosen_names(columns, names)) for label, step, columns in estimator.transformers_]
        for _, step, columns in branches:
            _use_positions(step, columns)
        estimator.transformers_ = [
            (label, step, [names.index(column) for column in columns]) for label, step, columns in branches
        ]
    for step in _first_steps(estimator):
        _use_positions(step, names)


def _encoders(estimator: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    if hasattr(estimator, "categories_") and len(estimator.categories_) == len(names):
        yield estimator, names
    for _, step, columns in getattr(estimator, "transformers_", []):
        yield from _encoders(step, chosen_names(columns, names))
    for step in _first_steps(estimator):
        yield from _encoders(step, names)


def _first_steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline or union that read its input: the first one, and the next while they keep its columns."""
    union = [step for _, step in getattr(estimator, "transformer_list", [])]
    reading = []
    for _, step in getattr(estimator, "steps", []):
        if step is None or step == "passthrough":
            continue
        reading.append(step)
        if not type(step).__name__.endswith("Imputer") or getattr(step, "add_indicator", False):
            break
    return union + reading


def chosen_names(columns: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that a column transformer's choice stands for: names, positions, a slice or a mask."""
    if isinstance(columns, str):
        return (columns,)
    if isinstance(columns, int):
        return (names[columns],)
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            start = 0 if columns.start is None else names.index(columns.start)
            stop = len(names) if columns.stop is None else names.index(columns.stop) + 1
            return names[start : stop : columns.step]
        return names[columns]
    chosen = list(columns)
    if chosen and all(isinstance(choice, bool) or type(choice).__name__ in {"bool", "bool_"} for choice in chosen):
        return tuple(name for name, keep in zip(names, chosen, strict=True) if keep)
    return tuple(choice if isinstance(choice, str) else names[choice] for choice in chosen)


def _is_text(values: Array) -> bool:
    return any(isinstance(value, str) for value in values.tolist())
