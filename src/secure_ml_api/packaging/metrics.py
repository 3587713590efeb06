"""The usual metrics of each task, of answers beside what is true.

Classification: accuracy, its mean over the classes, precision, recall and F1 as means over the classes (``_macro``)
and, of two classes, of the positive one; ROC AUC (one class against the rest, mean), log loss, Brier score (mean
squared error of the probabilities, summed over the classes: G. Brier, 1950) and expected calibration error (15 bins:
C. Guo et al., "On Calibration of Modern Neural Networks", 2017). Regression: MAE, RMSE, R², median absolute error.
Anomalies: precision, recall, F1, ROC AUC, average precision, precision at contamination.
"""

from __future__ import annotations

import numpy as np

from ..tensors import Signature, Tensors
from .table import Array

_BINS = 15


def classification(
    truth: Array, answers: Tensors, signature: Signature
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Of what was answered beside ``truth``: of all classes together, and of each by its word."""
    from sklearn import metrics

    label, values = answers["label"], class_values(signature)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, label, labels=values, zero_division=0.0
    )
    found = {
        "accuracy": metrics.accuracy_score(truth, label),
        "balanced_accuracy": float(np.mean([recall[at] for at in range(len(values)) if support[at]])),
        "precision_macro": float(np.mean(precision)),
        "recall_macro": float(np.mean(recall)),
        "f1_macro": float(np.mean(f1)),
    }
    if (positive := positive_at(signature)) is not None:
        found |= {"precision": precision[positive], "recall": recall[positive], "f1": f1[positive]}
    by_class = {
        signature.labels[at]: {"precision": float(precision[at]), "recall": float(recall[at]), "f1": float(f1[at])}
        for at in range(len(values))
    }
    probabilities = answers.get("probabilities")
    if probabilities is not None:
        found |= _probabilistic(truth, label, np.asarray(probabilities, dtype=np.float64), values)
    return {name: float(value) for name, value in found.items()}, by_class


def _probabilistic(truth: Array, label: Array, probabilities: Array, values: list[int]) -> dict[str, float]:
    from sklearn import metrics

    probabilities = probabilities.clip(0, 1)  # graphs of earlier packages may round beyond them
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # as FP32 they sum to nearly one
    one_hot = (truth[:, None] == np.array(values)[None, :]).astype(np.float64)
    found = {
        # By their places: scikit-learn takes the columns for those of the classes in ascending order.
        "log_loss": metrics.log_loss(one_hot.argmax(axis=1), probabilities, labels=range(len(values))),
        "brier": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        "calibration_error": _calibration_error(truth == label, probabilities.max(axis=1)),
    }
    there = one_hot.any(axis=0)
    if there.sum() > 1:
        areas = [metrics.roc_auc_score(one_hot[:, at], probabilities[:, at]) for at in np.flatnonzero(there)]
        found["roc_auc"] = float(np.mean(areas))
    return found


def _calibration_error(is_right: Array, confidence: Array) -> float:
    """How far confidence is from accuracy, over bins of equal width, weighed by their rows."""
    bins = np.minimum((confidence * _BINS).astype(np.intp), _BINS - 1)
    error = 0.0
    for each in np.unique(bins):
        inside = bins == each
        error += inside.mean() * abs(is_right[inside].mean() - confidence[inside].mean())
    return float(error)


def regression(truth: Array, value: Array) -> dict[str, float]:
    """Of the values beside ``truth``; a single row has no R²."""
    from sklearn import metrics

    found = {
        "mae": float(metrics.mean_absolute_error(truth, value)),
        "rmse": float(metrics.root_mean_squared_error(truth, value)),
        "median_absolute_error": float(metrics.median_absolute_error(truth, value)),
    }
    return found | {"r2": float(metrics.r2_score(truth, value))} if len(truth) > 1 else found


def anomaly(truth: Array, answers: Tensors) -> dict[str, float]:
    """Of labels and scores, low for anomalies, beside ``truth``, −1 for anomalies."""
    from sklearn import metrics

    is_anomaly, said, score = truth == -1, answers["label"] == -1, -answers["score"]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        is_anomaly, said, average="binary", zero_division=0.0
    )
    found = {"precision": float(precision), "recall": float(recall), "f1": float(f1), "flagged": float(said.mean())}
    if is_anomaly.any() and not is_anomaly.all():
        found["roc_auc"] = float(metrics.roc_auc_score(is_anomaly, score))
        found["average_precision"] = float(metrics.average_precision_score(is_anomaly, score))
        found["precision_at_contamination"] = _precision_at_contamination(is_anomaly, score)
    return found


def _precision_at_contamination(is_anomaly: Array, score: Array) -> float:
    """Among as many of the rows with the highest ``score`` as there are anomalies, wherever the model draws its line.

    Of rows with equal scores, of which not all are among them, each counts by its chance to be.
    """
    rows = int(is_anomaly.sum())
    last = np.sort(score)[-rows]
    above, level = score > last, score == last
    chance = (rows - above.sum()) / level.sum()
    return float((is_anomaly[above].sum() + chance * is_anomaly[level].sum()) / rows)


def class_values(signature: Signature) -> list[int]:
    """The classes as the model answers them."""
    return [value if isinstance(value, int) else at for at, value in enumerate(signature.classes)]


def positive_at(signature: Signature) -> int | None:
    """Where the positive one of two classes stands: the class 1, as scikit-learn has it, or else the second."""
    if len(signature.classes) != 2:
        return None
    return signature.classes.index(1) if 1 in signature.classes else 1
