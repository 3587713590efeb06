"""Support vector machines by matrix products answer as scikit-learn does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC

from secure_ml_api.packaging.graphs import support_vectors
from secure_ml_api.packaging.graphs.writer import Inapplicable
from support.forms import Form

pytestmark = pytest.mark.slow

FORM = "hand-written float32"


def undecided(model: Any, rows: Any) -> Any:
    """Rows on which two classes' duel is a draw to within rounding."""
    decisions = model.decision_function(rows)
    return np.abs(decisions.reshape(len(rows), -1)).min(axis=1) < 1e-4


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(2, 5),
    features=st.integers(1, 6),
    kernel=st.sampled_from(["rbf", "linear"]),
    offset=st.sampled_from([0.0, 100.0]),
)
def test_duels_are_decided_and_counted_as_libsvm_does(
    seed: int, classes: int, features: int, kernel: str, offset: float
) -> None:
    random = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), random.integers(0, classes, 80 - classes))
    rows = random.normal(size=(80, features)) + labels[:, np.newaxis] + offset
    model = SVC(kernel=kernel, decision_function_shape="ovo").fit(rows, labels)
    asked = (random.normal(size=(200, features)) * 2 + classes / 2 + offset).astype(np.float32)
    answers = Form(FORM, model, rows)(asked)
    decided = ~undecided(model, asked)
    assert answers["label"][decided].tolist() == model.predict(asked)[decided].tolist()


@pytest.mark.parametrize("form", [FORM, "hand-written float64"])
@pytest.mark.parametrize("machine", [SVC(C=3.0), NuSVC(), SVC(kernel="linear")], ids=["svc", "nu", "linear"])
def test_words_are_answered_as_their_index(form: str, machine: Any) -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(120, 4))
    words = np.where(rows[:, 0] + rows[:, 1] > 0, "auf", "ab")
    model = make_pipeline(StandardScaler(), machine).fit(rows, words)
    answer = Form(form, model, rows)
    decided = ~undecided(model, rows)
    given_words = np.array(answer.signature.classes)[answer(rows)["label"]]
    assert given_words[decided].tolist() == model.predict(rows)[decided].tolist()


@pytest.mark.parametrize("form", [FORM, "hand-written float64"])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_calibrated_machine_answers_with_its_probabilities(form: str, kernel: str) -> None:
    random = np.random.default_rng(2)
    rows = random.normal(3, 2, size=(150, 5))
    target = rows[:, 0] * rows[:, 1] > 9
    machine = CalibratedClassifierCV(SVC(kernel=kernel), ensemble=False)
    model = make_pipeline(StandardScaler(), machine).fit(rows, target)
    asked = random.normal(3, 2, size=(500, 5)).astype(np.float32)
    answers, wanted = Form(form, model, rows)(asked), model.predict_proba(asked)
    np.testing.assert_allclose(answers["probabilities"], wanted, atol=1e-5)
    decided = np.abs(wanted[:, 1] - 0.5) > 1e-4
    assert answers["label"][decided].tolist() == model.predict(asked)[decided].tolist()


@pytest.mark.parametrize("form", [FORM, "hand-written float64"])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_regression_answers_the_weighted_sum_of_its_kernel(form: str, kernel: str) -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(150, 3))
    model = SVR(kernel=kernel).fit(rows, rows[:, 0] ** 2 + rows[:, 1])
    asked = random.normal(size=(300, 3)).astype(np.float32)
    np.testing.assert_allclose(Form(form, model, rows)(asked)["value"], model.predict(asked), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        SVC(kernel="poly"),
        SVC(break_ties=True, decision_function_shape="ovr"),
        CalibratedClassifierCV(SVC(), cv=2, ensemble=True),
        CalibratedClassifierCV(SVC(), cv=2, ensemble=False, method="isotonic"),
        CalibratedClassifierCV(RandomForestClassifier(3, random_state=0), ensemble=False),
    ],
    ids=["polynomial", "breaks ties", "ensemble", "isotonic", "forest"],
)
def test_what_is_not_written_by_hand_is_left_to_the_stock_converter(model: Any) -> None:
    rows = np.random.default_rng(4).normal(size=(60, 2))
    with pytest.raises(Inapplicable):
        Form(FORM, model.fit(rows, (rows[:, 0] > 0).astype(int)), rows)


def test_more_vectors_than_memory_should_hold_are_left_to_the_stock_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_vectors, "_MOST_VECTORS", 3)
    rows = np.random.default_rng(5).normal(size=(60, 2))
    with pytest.raises(Inapplicable, match="too many support vectors"):
        Form(FORM, SVC().fit(rows, (rows[:, 0] > 0).astype(int)), rows)
