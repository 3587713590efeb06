"""Gradient boosting over histograms becomes a graph that answers as it does, also where a value is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.build import build
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.table import Table
from support.fitted import FRAME, NAMES, NUMBER, WORDS, answers
from support.training import table

pytestmark = pytest.mark.slow

GAPS = FRAME[list(NAMES)]
QUICK = {"max_iter": 10, "random_state": 0}


def with_gaps(rows: Any) -> Any:
    rows = rows.copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("model", "truth"),
    [(HistGradientBoostingClassifier(**QUICK), WORDS), (HistGradientBoostingRegressor(**QUICK), NUMBER)],
    ids=["classes", "numbers"],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_it_answers_as_scikit_learn_does_where_values_are_missing_and_where_they_are_not(
    model: Any, truth: Any, scaled: bool
) -> None:
    model = (make_pipeline(StandardScaler(), model) if scaled else model).fit(GAPS, truth)
    built = build(model, table(GAPS), Options())
    parity = built.blueprint.parity
    assert (built.blueprint.runtime, parity.generated_rows, parity.differing_near_ties) == ("onnx", 1000, 0)
    assert [column.allow_missing for column in built.blueprint.signature.columns] == [True] * 3
    new = GAPS.sample(1000, replace=True, random_state=5) + np.random.default_rng(5).normal(0, 0.3, (1000, 3))
    new = new.astype(np.float32)
    new.iloc[::7, 0] = np.nan
    given = answers(built, table(new))
    if "value" in given:
        np.testing.assert_allclose(given["value"], model.predict(new), rtol=1e-4)
    else:
        np.testing.assert_allclose(given["probabilities"], model.predict_proba(new), atol=1e-5)


@pytest.mark.parametrize(
    ("load", "kind"), [(load_wine, HistGradientBoostingClassifier), (load_diabetes, HistGradientBoostingRegressor)]
)
def test_thresholds_between_values_that_float32_cannot_tell_apart_are_kept(load: Any, kind: Any) -> None:
    rows, truth = load(return_X_y=True)
    rows = with_gaps(rows)
    model = make_pipeline(StandardScaler(), kind(**QUICK)).fit(rows, truth)
    built = build(model, Table.of_matrix(rows, [f"c{at}" for at in range(rows.shape[1])]), Options())
    assert built.blueprint.provenance.graph.startswith("skl2onnx float64")


def test_trees_that_split_by_category_are_refused_with_the_reason() -> None:
    model = HistGradientBoostingRegressor(categorical_features=[2], **QUICK).fit(GAPS, NUMBER)
    with pytest.raises(PackingError, match=r"trees that split by category \(categorical_features\) have no operator"):
        build(model, table(GAPS), Options())
