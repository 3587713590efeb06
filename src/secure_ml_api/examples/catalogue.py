"""The five scikit-learn examples: what each is trained on, and how."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np

from ..packaging.options import Options
from ..packaging.table import Table
from .known_data import CANCER, HOUSING, IRIS, MADE
from .trained import Trained


def _iris() -> tuple[Any, Any, list[str], dict[str, str]]:
    from sklearn.datasets import load_iris

    data = load_iris()
    words = {str(index): str(name) for index, name in enumerate(data.target_names)}
    return data.data, data.target, [str(name) for name in data.feature_names], words


def _iris_options(description: str, names: list[str], words: dict[str, str]) -> Options:
    # A length below zero is a mistake of the caller; any larger flower is the model's to judge.
    bounds: dict[str, tuple[float | None, float | None]] = dict.fromkeys(names, (0.0, None))
    return Options(description=description, labels=words, bounds=bounds, training_data=IRIS)


def train_iris() -> Trained:
    from sklearn.neighbors import KNeighborsClassifier

    features, target, names, words = _iris()
    model = KNeighborsClassifier(n_neighbors=3).fit(features, target)
    options = _iris_options("Species of an iris by its three nearest neighbours.", names, words)
    return Trained(model, Table.of_matrix(features, names), options)


def train_iris_tree() -> Trained:
    from sklearn.tree import DecisionTreeClassifier

    features, target, names, words = _iris()
    model = DecisionTreeClassifier(criterion="gini", random_state=42).fit(features, target)
    options = _iris_options("Species of an iris by a decision tree (Gini impurity).", names, words)
    return Trained(model, Table.of_matrix(features, names), options)


def train_cancer_svm() -> Trained:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.datasets import load_breast_cancer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    data = load_breast_cancer()
    # Platt scaling by cross-validation is what SVC(probability=True) did before it was deprecated.
    classifier = CalibratedClassifierCV(SVC(random_state=42), ensemble=False)
    model = make_pipeline(StandardScaler(), classifier).fit(data.data, data.target)
    words = {str(index): str(name) for index, name in enumerate(data.target_names)}
    description = "Malignant or benign, by a scaled support vector machine."
    options = Options(description=description, labels=words, training_data=CANCER)
    return Trained(model, Table.of_matrix(data.data, [str(name) for name in data.feature_names]), options)


def train_housing() -> Trained:
    from sklearn.linear_model import LinearRegression

    features, target, names = boston_housing()
    model = LinearRegression().fit(features, target)
    description = "Median home value in thousands of dollars, by linear regression (Boston, 1970)."
    options = Options(description=description, training_data=HOUSING)
    return Trained(model, Table.of_matrix(features, names), options)


def train_outliers() -> Trained:
    from sklearn.ensemble import IsolationForest

    features = made_samples()
    model = IsolationForest(contamination=0.1, random_state=42).fit(features)
    description = "Whether a point lies apart from the others, by an isolation forest."
    options = Options(description=description, training_data=MADE)
    return Trained(model, Table.of_matrix(features, [f"x{column}" for column in range(1, 6)]), options)


def boston_housing() -> tuple[Any, Any, list[str]]:
    """Features [506, 12], target [506] and the features' names; origin and licence are in ``data/README.md``."""
    text = files(__package__).joinpath("data/boston_housing.csv").read_text("utf-8")
    header, *rows = csv.reader(text.splitlines())
    table = np.array(rows, dtype=np.float64)
    return table[:, :-1], table[:, -1], header[:-1]


def made_samples() -> Any:
    """1000 points of 5 features, drawn from a standard normal distribution with seed 42: float64 [1000, 5]."""
    return np.random.default_rng(42).standard_normal((1000, 5))


EXAMPLES: dict[str, Callable[[], Trained]] = {
    "iris": train_iris,
    "iris-tree": train_iris_tree,
    "cancer-svm": train_cancer_svm,
    "housing": train_housing,
    "outliers": train_outliers,
}
