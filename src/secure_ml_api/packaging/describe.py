"""The signature of a trained model: its columns in order, and what each of them may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from ..errors import PackingError
from ..tensors import Column, Signature
from .boosting import feature_names
from .encoders import Categories, imputes
from .options import Options
from .prose import MOST_CHARACTERS, prose_columns
from .table import Array, Table
from .trained import Trained


def align(estimator: Any, sample: Table, target: str | None) -> Table:
    """The sample's features, in the order in which the model was trained on them; the column ``target`` is left out.

    Raises PackingError when columns are missing, unknown, or too few or many.
    """
    if target is not None:
        if target not in sample.columns:
            raise PackingError(f"the sample has no column {target!r}; its columns are {', '.join(sample.names)}")
        sample = sample.select([name for name in sample.names if name != target])
    known = feature_names(estimator, sample.names)
    if known is None:
        count = getattr(estimator, "n_features_in_", len(sample.names))
        if count != len(sample.names):
            remedy = "leave the answer out with --target COLUMN"
            raise PackingError(f"the model takes {count} features and the sample has {len(sample.names)}; {remedy}")
        return sample
    missing = [name for name in known if name not in sample.columns]
    if missing:
        raise PackingError(f"the sample lacks {', '.join(map(repr, missing[:5]))}, which the model was trained on")
    extra = [name for name in sample.names if name not in set(known)]
    if extra:
        remedy = "leave it out, with --target if it is the answer"
        raise PackingError(f"the model was not trained on {extra[0]!r}; {remedy}")
    return sample.select(known)


def missing_columns(trained: Trained, sample: Table) -> frozenset[str]:
    """Columns of numbers in which the model takes a missing value.

    Those in which the sample has one; and for a model that imputes, those in which it answers a row without one.
    """
    rows = np.arange(min(sample.rows, 8))
    allowed = set()
    for name, values in sample.columns.items():
        if sample.is_text(name):
            continue
        if bool(np.isnan(values).any()):
            allowed.add(name)
        elif imputes(trained.estimator):
            probe = sample.take(rows)
            emptied = Table({**probe.columns, name: np.full(probe.rows, np.nan)})
            if _answers_finitely(trained, emptied):
                allowed.add(name)
    return frozenset(allowed)


def describe(
    trained: Trained,
    sample: Table,
    options: Options,
    *,
    datatype: Literal["FP32", "FP64"],
    categories: Mapping[str, Categories],
    missing: frozenset[str],
) -> Signature:
    """The signature under which ``trained`` serves when its numbers are ``datatype``; raises PackingError."""
    unknown = sorted(set(options.bounds) - {name for name in sample.names if not sample.is_text(name)})
    if unknown:
        raise PackingError(f"bounds are for features that are numbers, and {unknown[0]!r} is none of them")
    try:
        columns = []
        prose = prose_columns(trained.estimator, sample.names)
        for name in sample.names:
            if sample.is_text(name):
                length = MOST_CHARACTERS if name in prose else None
                choices = _choices(categories.get(name))
                columns.append(Column(name=name, datatype="BYTES", choices=choices, max_length=length))
                continue
            low, high = options.bounds.get(name, (None, None))
            given, allowed = sample.datatype or datatype, name in missing and sample.datatype is None
            columns.append(Column(name=name, datatype=given, minimum=low, maximum=high, allow_missing=allowed))
        return Signature(
            task=trained.task,
            columns=tuple(columns),
            classes=trained.classes,
            labels=trained.labels(options.labels) if trained.task == "classification" else (),
            has_probabilities=trained.has_probabilities,
            output_datatype=datatype,
            row_shape=sample.row_shape,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PackingError(f"the model cannot be described: {where} {first['msg']}".replace("  ", " ")) from None


def refuse_confused_types(sample: Table, categories: Mapping[str, Categories]) -> None:
    """Raises PackingError when the model knows a column as text and the sample has numbers there, or the other way."""
    for name, known in categories.items():
        if known.is_text != sample.is_text(name):
            was, has = ("text", "numbers") if known.is_text else ("numbers", "text")
            raise PackingError(f"the model was trained on {was} in {name!r} and the sample has {has} there")


def _choices(known: Categories | None) -> tuple[str, ...] | None:
    if known is None or not known.closed:
        return None
    return tuple(value for value in known.values if isinstance(value, str))


def _answers_finitely(trained: Trained, table: Table) -> bool:
    try:
        answers: list[Array] = list(trained.answers(table).values())
    except Exception:  # noqa: BLE001 - any failure is the answer: this model does not take a missing value here
        return False
    return all(bool(np.isfinite(answer).all()) for answer in answers)
