"""A trained model, seen only through what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import PackingError
from ..runtimes.sklearn import reads_text
from ..tensors import Task, Tensors
from .boosting import is_lightgbm
from .encoders import unwrapped
from .table import Array, Table


class Trained:
    """``estimator`` with its task and classes worked out.

    Raises PackingError for a model that is not fitted, predicts several things at once, or is of no known task.
    """

    def __init__(self, estimator: Any, sample: Table, task: Task | None = None) -> None:
        self.estimator = estimator
        self.kind: str = getattr(estimator, "kind", None) or type(unwrapped(estimator)).__name__
        if not hasattr(estimator, "predict"):
            raise PackingError(f"there is a {self.kind} where a fitted model with predict() should be")
        # LightGBM goes by position, and says that it knows names when it has made them up.
        self.wants_frame = hasattr(estimator, "feature_names_in_") and not is_lightgbm(estimator)
        self.reads_text = reads_text(estimator)
        if self.reads_text and (len(sample.names) != 1 or not sample.is_text(sample.names[0])):
            remedy = "give a sample of one column of text, and leave the answer out with --target COLUMN"
            raise PackingError(f"{self.kind} reads one text a row and the sample has other columns; {remedy}")
        self.task: Task = task or getattr(estimator, "task", None) or _task_of(estimator)
        self.has_probabilities = self.task == "classification" and hasattr(estimator, "predict_proba")
        self.values: Array = _class_values(estimator) if self.task == "classification" else np.empty(0)
        self.classes = _classes(self.values)
        first = self._predict(sample.take(np.arange(1)))
        if first.ndim > 1 and first.shape[1:] != (1,):
            raise PackingError(f"{self.kind} predicts {first.shape[1]} values a row; train and pack one model for each")

    def answers(self, table: Table) -> Tensors:
        """What the model answers for ``table``: the output tensors of its signature, numbers in float64.

        A class is its value when classes are integers and its index when they are text. The score of an anomaly model
        is its ``decision_function``: negative is anomalous.
        """
        predicted = self._predict(table).reshape(-1)
        if self.task == "regression":
            return {"value": predicted.astype(np.float64)}
        if self.task == "anomaly":
            score = self.estimator.decision_function(self._given(table))
            return {"label": predicted.astype(np.int64), "score": np.asarray(score, np.float64).reshape(-1)}
        index = {value: position for position, value in enumerate(self.values.tolist())}
        labels = [index[value] for value in predicted.tolist()]
        if self.classes and isinstance(self.classes[0], int):
            labels = [int(self.classes[label]) for label in labels]
        answers: Tensors = {"label": np.array(labels, dtype=np.int64)}
        if self.has_probabilities:
            answers["probabilities"] = np.asarray(self.estimator.predict_proba(self._given(table)), np.float64)
        return answers

    def labels(self, words: Mapping[str, str]) -> tuple[str, ...]:
        """The word for each class: what ``words`` says, otherwise the class itself."""
        named = [str(value) for value in self.values.tolist()]
        unknown = sorted(set(words) - set(named))
        if unknown:
            raise PackingError(f"there is no class {unknown[0]!r}; the classes are {', '.join(named)}")
        return tuple(words.get(name, name) for name in named)

    def _predict(self, table: Table) -> Array:
        try:
            return np.asarray(self.estimator.predict(self._given(table)))
        except Exception as error:
            cause = " ".join(str(error).split())[:300]
            raise PackingError(f"{self.kind} cannot predict the sample: {cause}") from error

    def _given(self, table: Table) -> Any:
        """The table in the form that the model was trained on."""
        if self.wants_frame:
            import pandas

            return pandas.DataFrame(dict(table.columns))
        columns = list(table.columns.values())
        if self.reads_text:
            return columns[0]
        if any(table.is_text(name) for name in table.names):
            matrix = np.empty((table.rows, len(columns)), dtype=np.object_)
            for position, column in enumerate(columns):
                matrix[:, position] = column
            return matrix
        return np.column_stack(columns)


def _task_of(estimator: Any) -> Task:
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    if is_classifier(estimator):
        return "classification"
    if is_regressor(estimator):
        return "regression"
    if is_outlier_detector(estimator):
        return "anomaly"
    kind = type(estimator).__name__
    raise PackingError(f"{kind} predicts neither classes, nor numbers, nor anomalies; pack a fitted model that does")


def _class_values(estimator: Any) -> Array:
    values = getattr(estimator, "classes_", None)
    if values is None:
        raise PackingError(f"{type(estimator).__name__} has no classes; fit it before it is saved")
    if isinstance(values, list):
        raise PackingError(f"{type(estimator).__name__} predicts {len(values)} answers a row; pack one model for each")
    return np.asarray(values)


def _classes(values: Array) -> tuple[int, ...] | tuple[str, ...]:
    """Classes as a signature holds them: whole numbers and truth values as integers, everything else as text."""
    if values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool(np.all(values == np.floor(values)))):
        return tuple(int(value) for value in values.tolist())
    return tuple(str(value) for value in values.tolist())
