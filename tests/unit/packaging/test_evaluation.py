"""How good a packaged model is: the field's metrics, a picture, a comparison that says when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_iris

from conftest import copied
from secure_ml_api.errors import PackingError
from secure_ml_api.examples.catalogue import boston_housing, made_samples
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.evaluation import compare, evaluate
from secure_ml_api.packaging.figure import figure
from secure_ml_api.packaging.table import Table
from support.measured import flowers, loaded
from support.packages import publish, store_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_in(copied(prepared_home, tmp_path_factory.mktemp("evaluation")))


def test_classes_are_measured_as_scikit_learn_measures_them(store: Store) -> None:
    found = evaluate(loaded(store, "iris"), flowers(), "species")
    truth, label = found.truth, found.answers["label"]
    assert found.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(truth, label))
    assert found.metrics["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, label))
    assert found.metrics["f1_macro"] == pytest.approx(metrics.f1_score(truth, label, average="macro"))
    probabilities = np.asarray(found.answers["probabilities"], dtype=np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    area = metrics.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert found.metrics["roc_auc"] == pytest.approx(area)
    assert 0 <= found.metrics["calibration_error"] < 0.1
    assert set(found.by_class) == {"setosa", "versicolor", "virginica"}


def test_classes_may_be_told_by_their_words(store: Store) -> None:
    data = load_iris()
    words = np.array([data.target_names[each] for each in data.target], dtype=object)
    table = Table({**flowers().columns, "species": words})
    by_number = evaluate(loaded(store, "iris"), flowers(), "species").metrics
    assert evaluate(loaded(store, "iris"), table, "species").metrics == by_number


def test_numbers_are_measured_as_scikit_learn_measures_them(store: Store) -> None:
    features, target, names = boston_housing()
    table = Table({**Table.of_matrix(features, names).columns, "price": target})
    found = evaluate(loaded(store, "housing"), table, "price")
    assert found.metrics["r2"] == pytest.approx(metrics.r2_score(target, found.answers["value"]))
    assert found.metrics["mae"] == pytest.approx(metrics.mean_absolute_error(target, found.answers["value"]))


def test_anomalies_are_measured_beside_what_is_known(store: Store) -> None:
    features = made_samples()
    strange = np.linalg.norm(features, axis=1) > 3.2
    columns = Table.of_matrix(features, [f"x{column}" for column in range(1, 6)]).columns
    found = evaluate(loaded(store, "outliers"), Table({**columns, "odd": strange.astype(float)}), "odd")
    assert found.metrics["flagged"] == pytest.approx(0.1)
    assert found.metrics["roc_auc"] > 0.9
    signs = Table({**columns, "odd": np.where(strange, -1.0, 1.0)})
    assert evaluate(loaded(store, "outliers"), signs, "odd").metrics == found.metrics


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"species": np.full(150, 7.0)}, "'7', which is no class of the model: setosa, versicolor, virginica"),
        ({"petal width (cm)": None}, "no column 'petal width"),
        ({"species": None}, "no column 'species'"),
    ],
)
def test_data_that_does_not_fit_is_refused_by_name(store: Store, columns: dict[str, Any], reason: str) -> None:
    made = {**flowers().columns, **columns}
    table = Table({name: values for name, values in made.items() if values is not None})
    with pytest.raises(PackingError, match=reason):
        evaluate(loaded(store, "iris"), table, "species")


def test_class_that_is_missing_is_refused_by_row(store: Store) -> None:
    words = np.array(["setosa"] * 149 + [None], dtype=object)
    with pytest.raises(PackingError, match="'species' has no class in row 150 of the data; leave such rows out"):
        evaluate(loaded(store, "iris"), Table({**flowers().columns, "species": words}), "species")


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (np.array([1.0, np.nan]), "'sum' has no finite number in row 2 of the data"),
        (np.array([np.inf, 1.0]), "'sum' has no finite number in row 1 of the data"),
        (np.array(["1", "much"], dtype=object), "'sum' has text, 'much' in row 2 of the data; true answers of this"),
    ],
)
def test_truth_that_is_no_number_is_refused_by_row(tmp_path: Path, truth: Any, reason: str) -> None:
    small = store_in(tmp_path)
    publish(small)
    with pytest.raises(PackingError, match=reason):
        evaluate(loaded(small, "tiny"), Table({"a": np.ones(2), "b": np.ones(2), "sum": truth}), "sum")


def test_answer_that_is_no_number_is_refused_by_row(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small, weights=(3e37, 3e37))
    table = Table({"a": np.array([0.0, 3e38]), "b": np.array([0.0, 3e38]), "sum": np.ones(2)})
    with pytest.raises(PackingError, match="the model answers row 2 of the data with a value that is no number"):
        evaluate(loaded(small, "tiny"), table, "sum")


def test_one_row_has_no_share_of_its_variance(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small)
    found = evaluate(loaded(small, "tiny"), Table({"a": np.ones(1), "b": np.ones(1), "sum": np.ones(1)}), "sum")
    assert set(found.metrics) == {"mae", "rmse", "median_absolute_error"}


def test_model_beside_itself_is_not_distinguishable(store: Store) -> None:
    found = evaluate(loaded(store, "iris"), flowers(), "species")
    difference = compare(found, found)
    assert (difference.difference, difference.verdict) == (0, "not distinguishable")


def test_better_and_worse_are_told_apart(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small, version="1", weights=(1.0, 2.0))
    publish(small, version="2", weights=(1.0, 1.0))
    rows = np.random.default_rng(5).normal(size=(200, 2))
    table = Table({"a": rows[:, 0], "b": rows[:, 1], "sum": rows @ [1.0, 2.0]})
    right, wrong = (evaluate(loaded(small, "tiny", version), table, "sum") for version in ("1", "2"))
    assert compare(right, wrong).verdict == "better"
    assert compare(wrong, right).verdict == "worse"


@pytest.mark.parametrize("name", ["iris", "housing", "outliers"])
def test_pictures_are_svg_that_says_what_it_shows(store: Store, name: str) -> None:
    if name == "iris":
        found = evaluate(loaded(store, "iris"), flowers(), "species")
    elif name == "housing":
        features, target, names = boston_housing()
        table = Table({**Table.of_matrix(features, names).columns, "price": target})
        found = evaluate(loaded(store, "housing"), table, "price")
    else:
        columns = Table.of_matrix(made_samples(), [f"x{column}" for column in range(1, 6)]).columns
        odd = (np.linalg.norm(made_samples(), axis=1) > 3.2).astype(float)
        found = evaluate(loaded(store, "outliers"), Table({**columns, "odd": odd}), "odd")
    drawn = ElementTree.fromstring(figure(found, f"{name} <1>"))
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert texts[0] == f"{name} <1>"
    assert len(texts) > 4
