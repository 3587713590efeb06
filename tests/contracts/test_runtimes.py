"""What every runtime promises: the suite for others, run on each that is built in, and on the fake of our own tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from xgboost import XGBClassifier

from secure_ml_api.errors import PackageRefused
from secure_ml_api.packaging.boosting import lightgbm_trees, xgboost_trees
from secure_ml_api.packaging.words import words_table
from secure_ml_api.runtimes.lightgbm import TREES_FILE, LightgbmRuntime
from secure_ml_api.runtimes.onnx import MODEL_FILE, OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.runtimes.sklearn import ESTIMATOR_FILE, SklearnRuntime
from secure_ml_api.runtimes.skops_files import skops_io
from secure_ml_api.runtimes.words import WORDS_FILE, WordsRuntime
from secure_ml_api.runtimes.xgboost import BOOSTER_FILE, XgboostRuntime
from secure_ml_api.tensors import Column, Datatype, Signature, Tensors
from secure_ml_api.testing import WEIGHTS, RuntimeContract
from support.packages import weighing_graph


class FakeSession:
    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        values = {"value": inputs["input"] @ np.array(WEIGHTS, dtype=np.float32)}
        return {name: values[name] for name in outputs}


class FakeRuntime:
    """Weighs by itself; only looks whether the model is there, as the real one does."""

    name = "onnx"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        if artifact.files.get(MODEL_FILE) != weighing_graph():
            raise PackageRefused(f"{artifact.name}/{artifact.version}: the package has no model")
        return FakeSession()


def of_classes(count: int, datatype: Datatype) -> Signature:
    return Signature(
        task="classification",
        columns=tuple(Column(name=name, datatype=datatype) for name in "abc"),
        classes=tuple(range(count)),
        labels=tuple(map(str, range(count))),
        output_datatype="FP64" if datatype == "FP64" else "FP32",
    )


def weighing_estimator() -> LinearRegression:
    model = LinearRegression().fit(np.eye(2), np.zeros(2))
    model.coef_, model.intercept_ = np.array(WEIGHTS), 0.0
    return model


_ROWS = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
_CLASSES = np.digitize(_ROWS[:, 0] * _ROWS[:, 1], [-0.3, 0.3])
_XGBOOST = XGBClassifier(n_estimators=5, n_jobs=1).fit(_ROWS, _CLASSES)
_LIGHTGBM = LGBMClassifier(n_estimators=5, verbosity=-1, n_jobs=1).fit(_ROWS.astype(np.float64), _CLASSES)
_TEXTS = np.array([["Käse und Brot"], [""], ["Ball, Ball und Tor"], ["寿司 und Ball"]], dtype=np.object_)
_TOPICS = np.array([0, 0, 1, 1])
_WORDS = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(_TEXTS[:, 0], _TOPICS)


class TestOnnx(RuntimeContract):
    runtime = OnnxRuntime()
    files = {MODEL_FILE: weighing_graph()}


class TestSklearn(RuntimeContract):
    runtime = SklearnRuntime()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def estimator(cls) -> None:
        cls.files = {ESTIMATOR_FILE: skops_io().dumps(weighing_estimator())}  # skops takes seconds to import


class TestXgboost(RuntimeContract):
    runtime = XgboostRuntime()
    files = {BOOSTER_FILE: xgboost_trees(_XGBOOST)}
    signature = of_classes(3, "FP32")
    rows = {"input": _ROWS}
    answers = {"label": _XGBOOST.predict(_ROWS), "probabilities": _XGBOOST.predict_proba(_ROWS)}


class TestLightgbm(RuntimeContract):
    runtime = LightgbmRuntime()
    files = {TREES_FILE: lightgbm_trees(_LIGHTGBM)}
    signature = of_classes(3, "FP64")
    rows = {"input": _ROWS.astype(np.float64)}
    answers = {
        "label": np.asarray(_LIGHTGBM.predict(_ROWS.astype(np.float64))),
        "probabilities": np.asarray(_LIGHTGBM.predict_proba(_ROWS.astype(np.float64))),
    }


class TestWords(RuntimeContract):
    runtime = WordsRuntime()
    files = {WORDS_FILE: words_table(_WORDS)}
    signature = Signature(
        task="classification",
        columns=(Column(name="text", datatype="BYTES"),),
        classes=(0, 1),
        labels=("food", "sport"),
        output_datatype="FP64",
    )
    rows = {"text": _TEXTS}
    answers = {"label": _WORDS.predict(_TEXTS[:, 0]), "probabilities": _WORDS.predict_proba(_TEXTS[:, 0])}


class TestFake(RuntimeContract):
    runtime = FakeRuntime()
    files = {MODEL_FILE: weighing_graph()}
