"""Estimators become graphs that answer as they do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.build import build
from secure_ml_api.packaging.candidates import CANDIDATES, Candidate
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.subject import Subject
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.onnx import open_graph
from support.fitted import FRAME, MATRIX, NAMES, NUMBER, NUMBERS, WORDS, answers, fitted
from support.training import table

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500),
        RandomForestClassifier(30, random_state=0),
        GradientBoostingClassifier(n_estimators=10),
        KNeighborsClassifier(3),
        make_pipeline(StandardScaler(), SVC()),
        make_pipeline(StandardScaler(), LinearSVC()),
        make_pipeline(StandardScaler(), SGDClassifier(random_state=0)),
        make_pipeline(KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), LogisticRegression()),
        VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(random_state=0))], voting="soft"),
        CalibratedClassifierCV(RandomForestClassifier(5, random_state=0)),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_classifier_of_words_answers_with_their_index(model: BaseEstimator) -> None:
    model = fitted(model)
    built = build(model, NUMBERS, Options())
    signature = built.blueprint.signature
    assert (signature.classes, signature.labels) == (("goes", "stays"), ("goes", "stays"))
    assert signature.has_probabilities == hasattr(model, "predict_proba")
    assert [spec.name for spec in signature.inputs] == ["input"]
    given = answers(built, NUMBERS)
    assert given["label"].dtype == np.int64
    assert [signature.classes[index] for index in given["label"]] == model.predict(MATRIX).tolist()
    if signature.has_probabilities:
        np.testing.assert_allclose(given["probabilities"], model.predict_proba(MATRIX), atol=1e-5)


@pytest.mark.parametrize(
    ("target", "classes", "labels"),
    [
        (WORDS == "stays", (0, 1), ("False", "True")),
        (np.where(WORDS == "stays", 20, 10), (10, 20), ("10", "20")),
        (np.where(WORDS == "stays", -1.0, 1.0), (-1, 1), ("-1.0", "1.0")),
    ],
    ids=["bool", "int", "float"],
)
def test_classes_that_are_numbers_are_answered_as_they_are(target: Any, classes: Any, labels: Any) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(MATRIX, target)
    built = build(model, NUMBERS, Options())
    assert built.blueprint.signature.classes == classes
    assert built.blueprint.signature.labels == labels
    assert answers(built, NUMBERS)["label"].tolist() == model.predict(MATRIX).astype(int).tolist()


@pytest.mark.parametrize("model", [LinearRegression(), ExtraTreesRegressor(20, random_state=0)])
def test_a_regression_answers_one_value_a_row(model: Any) -> None:
    model = model.fit(MATRIX, NUMBER)
    given = answers(build(model, NUMBERS, Options()), NUMBERS)
    assert given["value"].shape == (len(MATRIX),)
    np.testing.assert_allclose(given["value"], model.predict(MATRIX), rtol=1e-4)


@pytest.mark.parametrize(
    "model", [IsolationForest(n_estimators=20, contamination=0.1, random_state=0), LocalOutlierFactor(novelty=True)]
)
def test_an_anomaly_model_answers_with_a_side_and_its_decision_function(model: Any) -> None:
    model = make_pipeline(StandardScaler(), model).fit(MATRIX)
    given = answers(build(model, NUMBERS, Options()), NUMBERS)
    assert given["label"].tolist() == model.predict(MATRIX).tolist()
    np.testing.assert_allclose(given["score"], model.decision_function(MATRIX), atol=1e-5)
    assert ((given["score"] < 0) == (given["label"] == -1)).all()


def test_a_forest_that_is_evenly_split_answers_with_the_class_that_scikit_learn_takes() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 3))
    trained = RandomForestClassifier(2, random_state=0).fit(rows, random.integers(0, 2, 400))
    built = build(trained, Table.of_matrix(rows, NAMES), Options())
    assert (np.ptp(trained.predict_proba(rows), axis=1) == 0).sum() > 10
    assert answers(built, Table.of_matrix(rows, NAMES))["label"].tolist() == trained.predict(rows).tolist()


@pytest.mark.parametrize(
    "candidate",
    [each for each in CANDIDATES if each.kind == "stock" and each.name != "skl2onnx float64, most probable class"],
    ids=lambda candidate: candidate.name,
)
def test_the_probabilities_of_a_forest_lie_between_0_and_1_however_its_sums_round(candidate: Candidate) -> None:
    rows, classes = load_breast_cancer(return_X_y=True)
    trained = ExtraTreesClassifier(30, random_state=0).fit(rows, classes)
    sample = Table.of_matrix(rows, [f"c{position}" for position in range(rows.shape[1])])
    subject = Subject.of(trained, sample, Options())
    signature = subject.reference(candidate.datatype).signature
    model = candidate.build(subject.trained, signature)
    given = open_graph(model, signature).run(sample.tensors(signature), ["probabilities"])["probabilities"]
    assert (given.min(), given.max()) == (0, 1)
    np.testing.assert_allclose(given, trained.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=500), GradientBoostingClassifier(n_estimators=10)])
def test_probabilities_that_cannot_leave_0_to_1_are_given_as_they_come(model: Any) -> None:
    graph = onnx.load_from_string(build(fitted(model), NUMBERS, Options()).model).graph
    assert not {"Clip", "Max", "Min"} & {node.op_type for node in graph.node}


def test_the_report_counts_rows_and_states_tolerances() -> None:
    parity = build(fitted(LogisticRegression(max_iter=500)), NUMBERS, Options()).blueprint.parity
    assert (parity.sample_rows, parity.generated_rows) == (300, 1000)
    assert parity.largest_differences["probabilities"] < 1e-5
    assert (parity.relative_tolerance, parity.absolute_tolerance) == (1e-4, 1e-5)


def test_a_sample_with_the_answer_in_it_leaves_it_out_when_told() -> None:
    with_answer = Table({**NUMBERS.columns, "answer": NUMBERS.columns["plan"]})
    model = fitted(LogisticRegression(max_iter=500))
    assert build(model, with_answer, Options(target="answer")).blueprint.signature.column_names == NAMES
    with pytest.raises(PackingError, match=r"takes 3 features and the sample has 4; .*--target"):
        build(model, with_answer, Options())


def test_no_warning_of_the_training_libraries_gets_through() -> None:
    model = LogisticRegression(max_iter=500).fit(FRAME[["income (€)", "plan"]], WORDS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(model, table(FRAME[["income (€)", "plan"]]), Options())
