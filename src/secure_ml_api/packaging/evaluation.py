"""How good a packaged model is on rows whose answers are known, and whether it is better than another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PackingError
from ..models.model import Model
from ..tensors import Signature, Tensors
from .known_rows import KnownRows, inputs_of
from .metrics import anomaly, class_values, classification, positive_at, regression
from .sample_file import first_text
from .table import Array

_BATCH_ROWS = 1000
_RESAMPLES = 1000
_SEED = 20240229

# The metric by which two versions are compared, and whether more of it is better.
MAIN = {"classification": ("accuracy", True), "regression": ("mae", False), "anomaly": ("f1", True)}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model answered to the rows, beside what is true, and its metrics."""

    metrics: dict[str, float]
    by_class: dict[str, dict[str, float]]
    truth: Array
    answers: Tensors
    signature: Signature
    positive_class: str | None = None
    """Of two classes, the one that ``precision``, ``recall`` and ``f1`` are of."""


def evaluate(model: Model, data: KnownRows, target: str) -> Evaluated:
    """Run ``model`` on ``data``, of which ``target`` has the true answers.

    Raises PackingError when something is missing or does not fit, or the answers are none that the model can give.
    """
    signature = model.signature
    inputs, column = inputs_of(data, signature), data.answers(target)
    names = [spec.name for spec in signature.outputs]
    parts = []
    for start in range(0, data.rows, _BATCH_ROWS):
        batch = {name: tensor[start : start + _BATCH_ROWS] for name, tensor in inputs.items()}
        parts.append(model.session.run(batch, names))
    answers: Tensors = {name: np.concatenate([part[name] for part in parts]) for name in names}
    _require_numbers(answers)
    if signature.task == "regression":
        truth = _numbers(column, target)
        return Evaluated(regression(truth, answers["value"]), {}, truth, answers, signature)
    if signature.task == "anomaly":
        truth = _anomalies(column, target)
        return Evaluated(anomaly(truth, answers), {}, truth, answers, signature)
    truth = _classes(column, target, signature)
    metrics, by_class = classification(truth, answers, signature)
    positive = positive_at(signature)
    positive_class = None if positive is None else signature.labels[positive]
    return Evaluated(metrics, by_class, truth, answers, signature, positive_class)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the main metric of one evaluation exceeds that of another, with a 95 % interval by the bootstrap."""

    metric: str
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        better = _MORE_IS_BETTER[self.metric]
        if self.low <= 0 <= self.high:
            return "not distinguishable"
        return "better" if (self.difference > 0) is better else "worse"


_MORE_IS_BETTER = dict(MAIN.values())


def compare(candidate: Evaluated, serving: Evaluated) -> Difference:
    """``candidate`` beside ``serving`` on the same rows, drawn again and again with replacement.

    Pairs of answers are drawn together, as both answered the same row (B. Efron, R. Tibshirani, 1993, chapter 13).
    """
    metric, _ = MAIN[candidate.signature.task]
    scores = [_main(metric, each, slice(None)) for each in (candidate, serving)]
    random, rows = np.random.default_rng(_SEED), len(candidate.truth)
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = random.integers(0, rows, rows)
        drawn.append(_main(metric, candidate, chosen) - _main(metric, serving, chosen))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Difference(metric, scores[0] - scores[1], float(low), float(high))


def _main(metric: str, evaluated: Evaluated, rows: Any) -> float:
    truth = evaluated.truth[rows]
    if metric == "mae":
        return float(np.abs(truth - evaluated.answers["value"][rows]).mean())
    label = evaluated.answers["label"][rows]
    if metric == "accuracy":
        return float((truth == label).mean())
    hits = float(((truth == -1) & (label == -1)).sum())
    named = float((truth == -1).sum() + (label == -1).sum())
    return 2 * hits / named if named else 0.0


def _classes(column: Array, target: str, signature: Signature) -> Array:
    """The true classes as the model answers them: by value, or by their words."""
    missing = [row for row, each in enumerate(column.tolist(), start=1) if each is None]
    if missing:
        raise PackingError(f"{target!r} has no class in row {missing[0]} of the data; leave such rows out")
    known: dict[str, int] = {}
    for word, value, answered in zip(signature.labels, signature.classes, class_values(signature), strict=True):
        known |= {word: answered, str(value): answered}
    texts = [str(int(each)) if isinstance(each, float) and each.is_integer() else str(each) for each in column.tolist()]
    unknown = sorted(set(texts) - known.keys())
    if unknown:
        raise PackingError(
            f"{target!r} has {unknown[0]!r}, which is no class of the model: {', '.join(signature.labels)}"
        )
    return np.array([known[text] for text in texts], dtype=np.int64)


def _anomalies(column: Array, target: str) -> Array:
    """−1 for anomalies and 1 for the others, as scikit-learn has it; a column of 0 and 1 has 1 for anomalies."""
    values = _numbers(column, target)
    there = set(values.tolist())
    if there <= {-1.0, 1.0}:
        return values.astype(np.int64)
    if there <= {0.0, 1.0}:
        return np.where(values == 1, -1, 1)
    raise PackingError(f"{target!r} has to be −1 or 1, or 0 or 1 with 1 for anomalies")


def _numbers(column: Array, target: str) -> Array:
    if column.dtype == np.object_:
        raise PackingError(f"{target!r} has text, {first_text(column)}; true answers of this model are numbers")
    wrong = np.flatnonzero(~np.isfinite(column))
    if wrong.size:
        raise PackingError(f"{target!r} has no finite number in row {wrong[0] + 1} of the data; leave such rows out")
    return column


def _require_numbers(answers: Tensors) -> None:
    for name, tensor in answers.items():
        wrong = np.argwhere(~np.isfinite(tensor))
        if wrong.size:
            raise PackingError(f"the model answers row {wrong[0][0] + 1} of the data with a {name} that is no number")
