"""What a signature takes from the estimator, the sample and the options: its columns, their values and its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from secure_ml_api.packaging.build import build
from secure_ml_api.packaging.options import Options
from support.fitted import FRAME, NUMBERS, WORDS, answers, fitted
from support.training import CITIES, customers, pipeline, table

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(20, random_state=0),
        make_pipeline(SelectKBest(k=4), LogisticRegression()),
    ],
    ids=["linear", "forest", "selection"],
)
def test_a_pipeline_over_text_and_numbers_takes_one_tensor_a_column(model: Any) -> None:
    trained = pipeline(model).fit(FRAME, WORDS)
    built = build(trained, table(FRAME), Options())
    signature = built.blueprint.signature
    assert [(spec.name, spec.shape) for spec in signature.inputs] == [(name, (-1, 1)) for name in FRAME.columns]
    fresh, _, _ = customers(1000)
    given = answers(built, table(fresh))
    assert [signature.classes[index] for index in given["label"]] == trained.predict(fresh).tolist()
    np.testing.assert_allclose(given["probabilities"], trained.predict_proba(fresh), atol=1e-5)


def test_scaled_trees_keep_float64_up_to_the_trees() -> None:
    trained = pipeline(RandomForestClassifier(20, random_state=0)).fit(FRAME, WORDS)
    blueprint = build(trained, table(FRAME), Options()).blueprint
    assert blueprint.provenance.graph.startswith("skl2onnx float64")
    assert {column.datatype for column in blueprint.signature.columns} == {"FP64", "BYTES"}


def test_categories_that_the_model_refuses_are_closed_in_the_signature() -> None:
    trained = pipeline(LogisticRegression()).fit(FRAME, WORDS)
    columns = {column.name: column for column in build(trained, table(FRAME), Options()).blueprint.signature.columns}
    assert columns["city"].choices == CITIES
    assert columns["plan"].choices is None


def test_categories_that_the_model_ignores_are_open_and_unknown_words_answer_the_same() -> None:
    trained = pipeline(LogisticRegression(), handle_unknown="ignore").fit(FRAME, WORDS)
    built = build(trained, table(FRAME), Options())
    columns = {column.name: column for column in built.blueprint.signature.columns}
    assert columns["city"].choices is None
    strangers = FRAME.assign(city="Atlantis")
    given = answers(built, table(strangers))
    np.testing.assert_allclose(given["probabilities"], trained.predict_proba(strangers), atol=1e-5)


def test_columns_that_are_imputed_may_be_missing_and_no_others() -> None:
    trained = pipeline(LogisticRegression()).fit(FRAME, WORDS)
    signature = build(trained, table(FRAME), Options()).blueprint.signature
    assert [column.name for column in signature.columns if column.allow_missing] == ["income (€)", "age"]


def test_a_model_that_imputes_nothing_takes_nothing_missing() -> None:
    signature = build(fitted(DecisionTreeClassifier()), NUMBERS, Options()).blueprint.signature
    assert not any(column.allow_missing for column in signature.columns)


def test_a_pipeline_by_column_name_over_numbers_alone_takes_one_matrix() -> None:
    numbers = FRAME.drop(columns="city")
    by_name = ColumnTransformer([("gaps", SimpleImputer(), ["age"]), ("rest", "passthrough", ["plan", "income (€)"])])
    trained = make_pipeline(by_name, StandardScaler(), LogisticRegression()).fit(numbers, WORDS)
    built = build(trained, table(numbers), Options())
    assert [(spec.name, spec.shape) for spec in built.blueprint.signature.inputs] == [("input", (-1, 3))]
    np.testing.assert_allclose(
        answers(built, table(numbers))["probabilities"], trained.predict_proba(numbers), atol=1e-5
    )


def test_labels_bounds_and_words_reach_the_signature() -> None:
    options = Options(labels={"goes": "wird kündigen"}, bounds={"age": (0.0, 120.0)}, description="churn")
    signature = build(fitted(LogisticRegression(max_iter=500)), NUMBERS, options).blueprint.signature
    assert signature.labels == ("wird kündigen", "stays")
    age = next(column for column in signature.columns if column.name == "age")
    assert (age.minimum, age.maximum) == (0.0, 120.0)
