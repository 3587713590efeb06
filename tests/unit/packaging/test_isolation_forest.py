"""An isolation forest as one tree ensemble answers as scikit-learn does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secure_ml_api.packaging.graphs.isolation_forest import average_path_length
from secure_ml_api.packaging.graphs.writer import Inapplicable
from support.forms import Form

pytestmark = pytest.mark.slow

FORM = "hand-written float32"


def assert_same(answers: Any, model: Any, rows: Any) -> None:
    """Scores equal to within rounding, and sides wherever a score is not at the threshold itself."""
    score = model.decision_function(rows)
    np.testing.assert_allclose(answers["score"], score, atol=2e-6)
    decided = np.abs(score) > 2e-6
    assert answers["label"][decided].tolist() == model.predict(rows)[decided].tolist()
    assert ((answers["score"] < 0) == (answers["label"] == -1)).all()


def test_the_mean_depth_of_a_tree_is_scikit_learns() -> None:
    rows = np.arange(1, 3000)
    np.testing.assert_allclose(average_path_length(rows), _average_path_length(rows), rtol=1e-15)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    trees=st.integers(1, 30),
    features=st.integers(1, 5),
    max_samples=st.integers(2, 64),
    max_features=st.floats(0.2, 1.0),
    contamination=st.one_of(st.just("auto"), st.floats(0.01, 0.5)),
    distinct=st.sampled_from([3, 1000]),
)
def test_scores_and_sides_are_those_of_the_trained_forest(
    *, seed: int, trees: int, features: int, max_samples: int, max_features: float, contamination: Any, distinct: int
) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, distinct, (80, features)) / 7.0
    model = IsolationForest(
        n_estimators=trees,
        max_samples=max_samples,
        max_features=max_features,
        contamination=contamination,
        bootstrap=bool(seed % 2),
        random_state=seed % 1000,
    ).fit(rows)
    asked = (random.integers(-1, distinct + 1, (200, features)) / 7.0).astype(np.float32)
    assert_same(Form(FORM, model, rows)(asked), model, asked)


def test_numbers_that_equal_a_threshold_fall_on_its_lower_side_as_they_do_in_training() -> None:
    rows = np.random.default_rng(1).normal(size=(300, 2))
    model = IsolationForest(n_estimators=20, random_state=1).fit(rows)
    thresholds = np.concatenate([tree.tree_.threshold for tree in model.estimators_]).astype(np.float32)
    beside = [thresholds, np.nextafter(thresholds, np.float32(9)), np.nextafter(thresholds, np.float32(-9))]
    values = np.concatenate(beside)[:2000]
    asked = np.column_stack([values, values[::-1]])
    assert_same(Form(FORM, model, rows)(asked), model, asked)


def test_missing_values_take_the_side_that_the_trees_give_them() -> None:
    random = np.random.default_rng(2)
    rows = random.normal(size=(300, 3))
    rows[random.random((300, 3)) < 0.2] = np.nan
    model = IsolationForest(n_estimators=30, random_state=2).fit(rows)
    assert_same(Form(FORM, model, rows)(rows), model, rows.astype(np.float32))


@pytest.mark.parametrize("form", [FORM, "hand-written float64"])
def test_a_forest_behind_a_scaler_is_the_last_step_of_one_graph(form: str) -> None:
    rows = np.random.default_rng(3).normal(5, 2, size=(300, 3)).astype(np.float32)
    model = make_pipeline(StandardScaler(), IsolationForest(n_estimators=25, random_state=3)).fit(rows)
    answers = Form(form, model, rows)(rows)
    np.testing.assert_allclose(answers["score"], model.decision_function(rows), atol=1e-5 if form == FORM else 1e-6)


def test_a_forest_whose_trees_saw_one_row_each_is_left_to_the_stock_converter() -> None:
    rows = np.random.default_rng(4).normal(size=(20, 2))
    with pytest.raises(Inapplicable):
        Form(FORM, IsolationForest(n_estimators=5, max_samples=1, random_state=0).fit(rows), rows)
