"""Estimators become graphs that answer as they do, or a refusal that says why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.build import Built, build
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.onnx import open_graph
from secure_ml_api.tensors import Tensors
from support.training import CITIES, customers, pipeline, table

pytestmark = pytest.mark.slow

FRAME, WORDS, NUMBER = customers()
MATRIX = FRAME.drop(columns="city").fillna(40.0).to_numpy()
NAMES = ("income (€)", "age", "plan")
NUMBERS = Table.of_matrix(MATRIX, NAMES)


def answers(built: Built, rows: Table) -> Tensors:
    signature = built.blueprint.signature
    return open_graph(built.model, signature).run(rows.tensors(signature), [spec.name for spec in signature.outputs])


def fitted(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(MATRIX, WORDS)


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


def test_a_forest_that_is_evenly_split_answers_with_the_class_that_scikit_learn_takes() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 3))
    trained = RandomForestClassifier(2, random_state=0).fit(rows, random.integers(0, 2, 400))
    built = build(trained, Table.of_matrix(rows, NAMES), Options())
    assert (np.ptp(trained.predict_proba(rows), axis=1) == 0).sum() > 10
    assert answers(built, Table.of_matrix(rows, NAMES))["label"].tolist() == trained.predict(rows).tolist()


def test_labels_bounds_and_words_reach_the_signature() -> None:
    options = Options(labels={"goes": "wird kündigen"}, bounds={"age": (0.0, 120.0)}, description="churn")
    signature = build(fitted(LogisticRegression(max_iter=500)), NUMBERS, options).blueprint.signature
    assert signature.labels == ("wird kündigen", "stays")
    age = next(column for column in signature.columns if column.name == "age")
    assert (age.minimum, age.maximum) == (0.0, 120.0)


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


class Contrary(LogisticRegression):  # type: ignore[misc]
    """Converted as its parent, and answers the opposite on one row: a converter that is wrong."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's word
        predicted = super().predict(X)
        if len(predicted) == len(MATRIX):
            predicted[17] = "goes" if predicted[17] == "stays" else "stays"
        return predicted


def test_a_graph_that_differs_on_one_sample_row_is_refused() -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    options = {"zipmap": [True, False], "nocl": [True, False], "output_class_labels": [True, False]}
    update_registered_converter(
        Contrary,
        "Contrary",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={**options, "raw_scores": [True, False]},
    )
    with pytest.raises(PackingError, match="differ on 1 of 300 sample rows, first on row 17"):
        build(fitted(Contrary(max_iter=500)), NUMBERS, Options())


def without(column: str) -> Table:
    return table(FRAME.drop(columns=column))


@pytest.mark.parametrize(
    ("model", "sample", "complaint"),
    [
        (LogisticRegression, NUMBERS, "fit it before"),
        (LinearRegression, NUMBERS, "cannot predict the sample"),
        (lambda: LinearRegression().fit(MATRIX, np.c_[NUMBER, NUMBER]), NUMBERS, "predicts 2 values a row"),
        (
            lambda: RandomForestClassifier(2).fit(MATRIX, np.c_[WORDS, WORDS]),
            NUMBERS,
            "predicts 2 answers a row; pack one model for each",
        ),
        (lambda: KMeans(2, n_init=1).fit(MATRIX), NUMBERS, "predicts neither classes"),
        (lambda: StandardScaler().fit(MATRIX), NUMBERS, "where a fitted model"),
        (lambda: 3, NUMBERS, "a int where a fitted model"),
        (
            lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(MATRIX, NUMBER),
            NUMBERS,
            "sklearn-onnx/supported.*--allow-native",
        ),
        (lambda: pipeline(Ridge()).fit(FRAME, NUMBER), without("age"), "lacks 'age'"),
        (
            lambda: pipeline(Ridge()).fit(FRAME, NUMBER),
            table(FRAME.assign(extra=1.0)),
            "not trained on 'extra'",
        ),
        (
            lambda: pipeline(Ridge()).fit(FRAME, NUMBER),
            table(FRAME.assign(city=1.0)),
            "trained on text in 'city'",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_with_the_reason_in_one_line(
    model: Callable[[], Any], sample: Table, complaint: str
) -> None:
    with pytest.raises(PackingError, match=complaint) as refusal:
        build(model(), sample, Options())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Options(labels={"maybe": "x"}), "no class 'maybe'"),
        (Options(bounds={"height": (0.0, 1.0)}), "'height' is none of them"),
        (Options(bounds={"age": (2.0, 1.0)}), "minimum is above maximum"),
        (Options(target="answer"), "no column 'answer'"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(options: Options, complaint: str) -> None:
    with pytest.raises(PackingError, match=complaint):
        build(fitted(LogisticRegression(max_iter=500)), NUMBERS, options)


class Unfinished(LinearRegression):  # type: ignore[misc]
    def predict(self, rows: Any) -> Any:
        return np.where(np.arange(len(rows)) == 3, np.nan, super().predict(rows))


def test_model_that_answers_nan_is_refused_for_that() -> None:
    with pytest.raises(
        PackingError, match=r"^Unfinished answers NaN or infinity on 1 of \d+ sample rows, first on row 3"
    ):
        build(Unfinished().fit(MATRIX, NUMBER), NUMBERS, Options())


def test_refusal_does_not_advise_what_was_done_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_ml_api.packaging.contest.CANDIDATES", ())
    monkeypatch.setattr("secure_ml_api.packaging.natives._skops", lambda _: b"no skops file")
    with pytest.raises(PackingError, match="no graph answers as this LinearRegression") as refusal:
        build(LinearRegression().fit(MATRIX, NUMBER), NUMBERS, Options(allow_native=True))
    assert "--allow-native" not in str(refusal.value)
