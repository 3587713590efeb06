"""A trained model with everything that its candidates are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PackingError
from .candidates import Datatype
from .describe import align, describe, missing_columns, refuse_confused_types
from .encoders import Categories, categories_of
from .networks.network import NetworkEstimator
from .options import Options
from .proof import Reference, refer
from .prose import prose_columns
from .rows import generate_rows
from .table import Table
from .trained import Trained

# More rows than these prove little more, and are stored with the package.
_MOST_SAMPLE_ROWS = 2000
_FILL_IN = "fill such cells in, with a word of its own such as 'unknown', train on that, and pack again"


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained model with the rows that every candidate is compared on, and what they say about its columns."""

    trained: Trained
    sample: Table
    generated: Table
    categories: Mapping[str, Categories]
    missing: frozenset[str]
    options: Options
    references: dict[Datatype, Reference]
    """What the model answers to the rows in each datatype, found when the first candidate needs it."""

    @classmethod
    def of(cls, estimator: Any, sample: Table, options: Options) -> Subject:
        """Raises PackingError when model, sample and options do not fit each other."""
        aligned = align(estimator, sample, options.target)
        aligned.require_texts(aligned.names, "sample", _FILL_IN)
        features = _thinned(aligned)
        categories = categories_of(estimator, features.names)
        refuse_confused_types(features, categories)
        trained = Trained(estimator, features, options.task)
        _refuse_unanswered(trained, features)
        missing = missing_columns(trained, features)
        closed = {name: known for name, known in categories.items() if known.closed and known.is_text}
        generated = generate_rows(
            features,
            choices={name: known.values for name, known in closed.items()},
            missing=sorted(missing),
            prose=prose_columns(estimator, features.names),
            open_text=[name for name in features.names if features.is_text(name) and name not in closed],
        )
        # What the options get wrong is no candidate's fault, so it is found before the first of them.
        describe(trained, features, options, datatype="FP32", categories=categories, missing=missing)
        _refuse_unbounded(aligned, options)
        subject = cls(trained, features, generated, categories, missing, options, {})
        if isinstance(estimator, NetworkEstimator):
            subject.reference("FP32")  # nor is a network whose rows hang on each other
        return subject

    def reference(self, datatype: Datatype) -> Reference:
        """The trained model's answers to the rows in ``datatype``."""
        if datatype not in self.references:
            signature = describe(
                self.trained,
                self.sample,
                self.options,
                datatype=datatype,
                categories=self.categories,
                missing=self.missing,
            )
            self.references[datatype] = refer(self.trained, signature, self.sample, self.generated)
        return self.references[datatype]


def _refuse_unbounded(sample: Table, options: Options) -> None:
    """Raise PackingError where a number of the sample is out of the bounds that callers would be held to."""
    for name, (low, high) in options.bounds.items():
        values = sample.columns[name]
        is_outside = np.zeros(len(values), dtype=np.bool_)
        if low is not None:
            is_outside |= values < low
        if high is not None:
            is_outside |= values > high
        if is_outside.any():
            row = int(is_outside.argmax())
            span = f"{'' if low is None else f'{low:.15g}'}:{'' if high is None else f'{high:.15g}'}"
            broken = f"the bounds {span} of {name!r} leave out {values[row]:.15g}, in row {row + 1} of the sample"
            raise PackingError(f"{broken}; widen them, or leave such rows out")


def _refuse_unanswered(trained: Trained, sample: Table) -> None:
    """Raise PackingError when an answer to the sample is no number: nothing equals that, not even itself."""
    finite = [np.isfinite(answer).reshape(sample.rows, -1).all(axis=1) for answer in trained.answers(sample).values()]
    wrong = np.flatnonzero(~np.all(finite, axis=0))
    if wrong.size:
        rows = f"{wrong.size} of {sample.rows} sample rows, first on row {wrong[0]}"
        raise PackingError(f"{trained.kind} answers NaN or infinity on {rows}; train it anew, or correct the sample")


def _thinned(sample: Table) -> Table:
    """At most _MOST_SAMPLE_ROWS rows, evenly spaced."""
    if sample.rows <= _MOST_SAMPLE_ROWS:
        return sample
    return sample.take(np.linspace(0, sample.rows - 1, _MOST_SAMPLE_ROWS).astype(np.intp))
