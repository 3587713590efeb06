"""The three cases that this project began with, and what they never had: errors that say what was expected."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

from support.application import Application


def test_nearest_neighbours_on_iris_name_the_flower(application: Application) -> None:
    answer = application.predict("iris", {"features": [5.1, 3.5, 1.4, 0.2]})
    assert answer.status_code == 200
    assert answer.get_json() == {
        "model": "iris",
        "version": "1",
        "prediction": 0,
        "label": "setosa",
        "probabilities": [1.0, 0.0, 0.0],
    }


def test_every_iris_is_answered_as_the_trained_model_answers(application: Application) -> None:
    flowers, species = load_iris(return_X_y=True)
    expected = KNeighborsClassifier(n_neighbors=3).fit(flowers, species).predict(flowers)
    answer = application.predict("iris", {"instances": flowers.tolist(), "outputs": ["labels", "probabilities"]})
    payload = answer.get_json()
    assert payload["predictions"] == expected.tolist()
    assert [["setosa", "versicolor", "virginica"].index(label) for label in payload["labels"]] == expected.tolist()
    assert np.allclose(np.sum(payload["probabilities"], axis=1), 1)


def test_linear_regression_on_boston_housing_predicts_a_price(application: Application) -> None:
    features = [0.00632, 18.0, 2.31, 0, 0.538, 6.575, 65.2, 4.09, 1, 296, 15.3, 4.98]
    answer = application.predict("housing", {"features": features})
    assert answer.get_json().keys() == {"model", "version", "prediction"}
    assert answer.get_json()["prediction"] == pytest.approx(30.03, abs=0.01)


@pytest.mark.parametrize(("features", "is_anomaly"), [([0, 0, 0, 0, 0], False), ([9, -9, 9, -9, 9], True)])
def test_an_isolation_forest_tells_outliers(application: Application, features: list[float], is_anomaly: bool) -> None:
    payload = application.predict("outliers", {"features": features}).get_json()
    assert payload["is_anomaly"] is is_anomaly
    assert payload["prediction"] == (-1 if is_anomaly else 1)
    assert (payload["score"] < 0) is is_anomaly


def test_features_may_come_by_name_in_any_order(application: Application) -> None:
    features = {
        "petal width (cm)": 0.2,
        "sepal length (cm)": 5.1,
        "petal length (cm)": 1.4,
        "sepal width (cm)": 3.5,
    }
    assert application.predict("iris", {"features": features}).get_json()["label"] == "setosa"


def test_a_wrong_number_of_features_is_told_the_right_one(application: Application) -> None:
    answer = application.predict("iris", {"features": [5.1, 3.5]})
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"row": 0, "detail": "expected a list of 4 features, got 2"}]


def test_every_bad_row_of_a_batch_is_named(application: Application) -> None:
    rows = [[1, 2, 3, 4], [1, 2, 3], [1, "2", 3, 4], [1, 2, None, 4]]
    answer = application.predict("iris", {"instances": rows})
    assert answer.status_code == 422
    assert [(error["row"], error.get("feature")) for error in answer.get_json()["errors"]] == [
        (1, None),
        (2, "sepal width (cm)"),
        (3, "petal length (cm)"),
    ]


@pytest.mark.parametrize("model", ["iris", "iris-tree", "cancer-svm", "housing", "outliers"])
def test_every_example_answers_in_tensorflow_s_form_too(application: Application, model: str) -> None:
    features = len(application.house.services.registry.resolve(model).signature.columns)
    for payload, kind in (
        ({"instances": [[1.0] * features] * 2}, "predictions"),
        ({"inputs": [[1.0] * features]}, "outputs"),
    ):
        answer = application.client.post(f"/v1/models/{model}:predict", json=payload, headers=application.headers())
        assert answer.status_code == 200
        assert list(answer.get_json()) == [kind]
