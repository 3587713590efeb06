"""Boosted trees and a reader of texts, as people train them, and packages of them in each form."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from secure_ml_api.packaging.table import Table
from secure_ml_api.tensors import Column, Datatype, Signature

COLUMNS = ("a", "b", "c", "d")
TOPICS = {
    "food": "soup bread Käse crème spice ñandú 寿司",
    "news": "vote law court city president Straße",
    "sport": "ball goal team Müller tor référé",
}

Array = npt.NDArray[Any]


def rows(count: int = 1000, seed: int = 3) -> Array:
    """float64 [count, 4], exact in float32, so that a row is the same in every format."""
    return np.random.default_rng(seed).normal(size=(count, len(COLUMNS))).astype(np.float32).astype(np.float64)


def classes(matrix: Array, count: int) -> Array:
    return np.asarray(np.digitize(matrix[:, 0] + matrix[:, 1] * matrix[:, 2], np.linspace(-1, 1, count + 1)[1:-1]))


def table(matrix: Array) -> Table:
    return Table.of_matrix(matrix, COLUMNS)


@cache
def xgboost_model(kind: str) -> Any:
    """``binary``, ``multiclass`` or ``regression``."""
    from xgboost import XGBClassifier, XGBRegressor

    given = rows(seed=1)
    if kind == "regression":
        return XGBRegressor(n_estimators=20, max_depth=4, n_jobs=1).fit(given, given[:, 0] * given[:, 1])
    return XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(
        given, classes(given, 2 if kind == "binary" else 3)
    )


@cache
def lightgbm_model(kind: str) -> Any:
    """As ``xgboost_model``; the classes of ``multiclass`` are words."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    given = rows(seed=1)
    if kind == "regression":
        return LGBMRegressor(n_estimators=20, verbosity=-1, n_jobs=1).fit(given, given[:, 0] * given[:, 1])
    found = classes(given, 2 if kind == "binary" else 3)
    return LGBMClassifier(n_estimators=20, verbosity=-1, n_jobs=1).fit(
        given, found if kind == "binary" else np.array(["low", "mid", "top"])[found]
    )


def texts(count: int = 1000, seed: int = 5) -> tuple[Array, Array]:
    """Texts in several scripts, some of them empty, and what they are about."""
    random = np.random.default_rng(seed)
    topics = np.array(list(TOPICS))[random.integers(0, len(TOPICS), count)]
    every = " ".join(TOPICS.values()).split()
    made = np.empty(count, dtype=np.object_)
    for row, topic in enumerate(topics):
        own = TOPICS[topic].split()
        words = [random.choice(own if random.random() < 0.6 else every) for _ in range(random.integers(0, 25))]
        made[row] = " ".join(str(word).upper() if random.random() < 0.1 else str(word) for word in words)
    return made, topics


@cache
def text_model() -> Any:
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()).fit(*texts(seed=2))


def signature(count: int, datatype: Datatype = "FP64", columns: tuple[str, ...] = COLUMNS) -> Signature:
    return Signature(
        task="classification" if count else "regression",
        columns=tuple(Column(name=name, datatype=datatype) for name in columns),
        classes=tuple(range(count)),
        labels=tuple(map(str, range(count))),
        output_datatype="FP32",
    )
