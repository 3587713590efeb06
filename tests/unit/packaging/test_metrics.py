"""Each metric is what scikit-learn, or a hand, computes from the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from secure_ml_api.packaging.metrics import anomaly, classification, regression
from secure_ml_api.tensors import Column, Signature

ROWS = 60


def of_classes(*classes: Any) -> Signature:
    labels = tuple(f"word {value}" for value in classes)
    return Signature(task="classification", columns=(Column(name="a"),), classes=classes, labels=labels)


def answered(classes: tuple[int, ...], seed: int = 3) -> tuple[Any, dict[str, Any]]:
    """Truth of ``classes``, and answers that are often right."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, ROWS, p=np.linspace(1, 2, len(classes)) / np.linspace(1, 2, len(classes)).sum())
    scores = random.exponential(size=(ROWS, len(classes))) + (truth[:, None] == np.array(classes)) * 0.7
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return truth, {"label": np.array(classes)[probabilities.argmax(axis=1)], "probabilities": probabilities}


def test_means_over_three_classes_are_called_so_and_none_is_the_positive_one() -> None:
    truth, answers = answered((0, 1, 2))
    found, _ = classification(truth, answers, of_classes(0, 1, 2))
    label = answers["label"]
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(truth, label, average="macro"))
    assert found["precision_macro"] == pytest.approx(metrics.precision_score(truth, label, average="macro"))
    assert found["recall_macro"] == pytest.approx(metrics.recall_score(truth, label, average="macro"))
    assert not {"f1", "precision", "recall"} & found.keys()


@pytest.mark.parametrize("classes", [(0, 1), (1, 2), (-1, 1), (1, 0)])
def test_two_classes_are_measured_by_the_positive_one_as_scikit_learn_does_by_default(classes: tuple[int, int]) -> None:
    truth, answers = answered(classes)
    found, _ = classification(truth, answers, of_classes(*classes))
    label = answers["label"]
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, label))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, label))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, label))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(truth, label, average="macro"))
    assert abs(found["f1"] - found["f1_macro"]) > 0.01
    order = np.argsort(classes)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, answers["probabilities"][:, order]))


def test_the_second_of_two_words_is_the_positive_class() -> None:
    truth, answers = answered((0, 1))
    found, by_class = classification(truth, answers, of_classes("ham", "spam"))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, answers["label"]))
    assert found["f1"] == by_class["word spam"]["f1"]


def test_probabilities_of_many_classes_are_measured_as_scikit_learn_does() -> None:
    truth, answers = answered((0, 1, 2))
    found, _ = classification(truth, answers, of_classes(0, 1, 2))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, answers["probabilities"]))
    area = metrics.roc_auc_score(truth, answers["probabilities"], multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(area)


def test_brier_score_is_that_of_brier_twice_what_scikit_learn_has_for_two_classes() -> None:
    truth, answers = answered((0, 1))
    found, _ = classification(truth, answers, of_classes(0, 1))
    assert found["brier"] == pytest.approx(2 * metrics.brier_score_loss(truth, answers["probabilities"][:, 1]))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, answers["probabilities"]))


def test_scores_of_probabilities_are_those_that_a_hand_computes() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.05, 0.95]])
    answers = {"label": np.array([0, 0, 1, 1]), "probabilities": probabilities}
    found, _ = classification(np.array([0, 1, 1, 1]), answers, of_classes(0, 1))
    assert found["brier"] == pytest.approx((2 * 0.01 + 2 * 0.81 + 2 * 0.09 + 2 * 0.0025) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.7, 0.95]).mean())
    # In a bin each, of a fifteenth: two rows said 0.9 and half of them were right; 0.7 and 0.95 were right.
    assert found["calibration_error"] == pytest.approx(2 / 4 * 0.4 + 1 / 4 * 0.3 + 1 / 4 * 0.05)


def test_numbers_are_measured_as_scikit_learn_does() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(size=ROWS)
    value = truth + random.exponential(size=ROWS)
    assert regression(truth, value) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, value),
            "rmse": metrics.mean_squared_error(truth, value) ** 0.5,
            "median_absolute_error": metrics.median_absolute_error(truth, value),
            "r2": metrics.r2_score(truth, value),
        }
    )


def test_error_of_numbers_is_what_a_hand_computes() -> None:
    found = regression(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 4.0]))
    assert found["rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert found["mae"] == pytest.approx(1)


def test_anomalies_are_measured_as_scikit_learn_measures_them() -> None:
    random = np.random.default_rng(5)
    truth = np.where(random.random(ROWS) < 0.2, -1, 1)
    score = truth + random.normal(size=ROWS) * 1.5
    label = np.where(score < -0.5, -1, 1)
    found = anomaly(truth, {"label": label, "score": score})
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, label, pos_label=-1))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, label, pos_label=-1))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, label, pos_label=-1))
    assert found["flagged"] == pytest.approx((label == -1).mean())
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(truth == -1, -score))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth == -1, -score))


def test_average_precision_is_what_a_hand_computes() -> None:
    """Anomalies at the first and the third place of the most anomalous."""
    found = anomaly(np.array([-1, 1, -1, 1]), {"label": np.array([-1, 1, 1, 1]), "score": np.array([-4.0, -3, -2, -1])})
    assert found["average_precision"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert (found["precision"], found["recall"]) == (1, 0.5)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ([-9, -8, -7, 0, 1, 2], 2 / 3),  # the three most anomalous are rows 0, 1 and 2, of which 1 is none
        ([-9, 5, -7, 0, -8, 2], 1),
        ([-9, -8, 0, 0, 0, 5], (1 + 2 / 3) / 3),  # one of the rows 2, 3 and 4, of which two are anomalies
        ([3, 3, 3, 3, 3, 3], 1 / 2),  # says nothing: what any three rows would have
    ],
)
def test_precision_at_contamination_is_that_of_as_many_rows_as_there_are_anomalies(
    score: list[float], expected: float
) -> None:
    truth = np.array([-1, 1, -1, 1, -1, 1])
    found = anomaly(truth, {"label": np.ones(6, dtype=np.int64), "score": np.array(score, dtype=np.float32)})
    assert found["precision_at_contamination"] == pytest.approx(expected)


def test_data_of_one_kind_alone_has_no_precision_at_contamination() -> None:
    for kind in (-1, 1):
        found = anomaly(np.full(3, kind), {"label": np.array([-1, 1, 1]), "score": np.array([-1.0, 0, 1])})
        assert "precision_at_contamination" not in found


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 2)])
def test_probabilities_that_rounding_moved_beyond_one_are_measured_as_one(classes: tuple[int, ...]) -> None:
    truth = np.array([*classes] * 2)
    exact = np.eye(len(classes))[truth]
    beyond = np.where(exact == 1, 1 + 1.2e-7, -1.2e-7 / (len(classes) - 1)).astype(np.float32)
    found, _ = classification(truth, {"label": truth, "probabilities": beyond}, of_classes(*classes))
    assert found == classification(truth, {"label": truth, "probabilities": exact}, of_classes(*classes))[0]
