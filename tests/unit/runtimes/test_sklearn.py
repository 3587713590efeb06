"""scikit-learn itself as a runtime: the same answers, a fixed list of types, nothing without consent."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import FunctionTransformer

from secure_ml_api.errors import PackageRefused
from secure_ml_api.runtimes.protocol import VerifiedArtifact
from secure_ml_api.runtimes.sklearn import ESTIMATOR_FILE, SklearnRuntime, open_estimator
from secure_ml_api.runtimes.skops_files import skops_io
from secure_ml_api.tensors import Column, Signature
from support.training import customers, pipeline, table

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(60, 2))
COLUMNS = (Column(name="a", datatype="FP64"), Column(name="b", datatype="FP64"))
REGRESSION = Signature(task="regression", columns=COLUMNS, output_datatype="FP64")


def of_classes(*classes: Any) -> Signature:
    labels = tuple(str(value) for value in classes)
    return Signature(
        task="classification", columns=COLUMNS, classes=tuple(classes), labels=labels, output_datatype="FP64"
    )


def test_a_regression_answers_as_it_was_trained() -> None:
    model = LinearRegression().fit(ROWS, ROWS[:, 0])
    answers = open_estimator(skops_io().dumps(model), REGRESSION).run({"input": ROWS}, ["value"])
    assert answers["value"].tolist() == model.predict(ROWS).tolist()


@pytest.mark.parametrize(
    ("names", "classes", "answered"),
    [((10, 20), (10, 20), (10, 20)), (("ab", "auf"), ("ab", "auf"), (0, 1)), ((False, True), (0, 1), (0, 1))],
    ids=["numbers", "words", "truth"],
)
def test_a_class_is_its_value_or_the_index_of_its_word(names: Any, classes: Any, answered: Any) -> None:
    which = (ROWS[:, 0] > 0).astype(int)
    model = LogisticRegression().fit(ROWS, np.array(names)[which])
    answers = open_estimator(skops_io().dumps(model), of_classes(*classes)).run(
        {"input": ROWS}, ["probabilities", "label"]
    )
    assert list(answers) == ["probabilities", "label"]
    assert answers["label"].dtype == np.int64
    found = {name: answered[position] for position, name in enumerate(names)}
    assert answers["label"].tolist() == [found[value] for value in model.predict(ROWS).tolist()]
    assert answers["probabilities"].tolist() == model.predict_proba(ROWS).tolist()


def test_an_anomaly_model_answers_with_a_side_and_its_decision_function() -> None:
    model = IsolationForest(n_estimators=5, random_state=0).fit(ROWS)
    signature = Signature(task="anomaly", columns=COLUMNS, output_datatype="FP64")
    answers = open_estimator(skops_io().dumps(model), signature).run({"input": ROWS}, ["label", "score"])
    assert answers["label"].tolist() == model.predict(ROWS).tolist()
    np.testing.assert_allclose(answers["score"], model.decision_function(ROWS))


def test_columns_reach_a_model_by_their_names_and_text_as_text() -> None:
    from secure_ml_api.packaging.options import Options
    from secure_ml_api.packaging.subject import Subject

    frame, words, _ = customers()
    model = pipeline(LogisticRegression()).fit(frame, words)
    signature = Subject.of(model, table(frame), Options()).reference("FP64").signature
    answers = open_estimator(skops_io().dumps(model), signature).run(table(frame).tensors(signature), ["label"])
    assert [signature.classes[index] for index in answers["label"]] == model.predict(frame).tolist()


def test_no_rows_are_answered_by_none() -> None:
    model = LogisticRegression().fit(ROWS, ROWS[:, 0] > 0)
    session = open_estimator(skops_io().dumps(model), of_classes(0, 1))
    answers = session.run({"input": ROWS[:0]}, ["label", "probabilities"])
    assert {name: tensor.shape for name, tensor in answers.items()} == {"label": (0,), "probabilities": (0, 2)}


def test_every_part_of_a_model_is_kept_to_one_thread() -> None:
    from secure_ml_api.runtimes.sklearn import _bound_threads

    forest = RandomForestClassifier(3, n_jobs=-1, random_state=0)
    model = VotingClassifier([("forest", forest), ("line", LogisticRegression())]).fit(ROWS, ROWS[:, 0] > 0)
    assert model.estimators_[0].n_jobs == -1
    _bound_threads(model, 1)
    assert model.estimators_[0].n_jobs == 1


def test_a_type_that_is_not_on_the_list_is_refused_by_name() -> None:
    data = skops_io().dumps(FunctionTransformer(np.save))
    with pytest.raises(PackageRefused, match=r"types that are not trusted: numpy\.save"):
        open_estimator(data, REGRESSION)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 but no archive", b"\x80\x04."])
def test_bytes_that_are_no_skops_file_are_refused(data: bytes) -> None:
    with pytest.raises(PackageRefused, match=r"model\.skops does not load"):
        open_estimator(data, REGRESSION)


def test_a_package_without_the_file_and_a_server_without_the_library_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = VerifiedArtifact("tiny", "1", REGRESSION, {}, "sha256:0")
    with pytest.raises(PackageRefused, match=r"tiny/1: the package has no model\.skops"):
        SklearnRuntime().load(empty, 1)
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    held = VerifiedArtifact("tiny", "1", REGRESSION, {ESTIMATOR_FILE: b"PK"}, "sha256:0")
    with pytest.raises(PackageRefused, match=r"tiny/1: .*`pip install 'secure-ml-api\[train\]'"):
        SklearnRuntime().load(held, 1)


def test_a_target_that_was_transformed_is_answered_in_its_own_measure() -> None:
    model = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(ROWS, np.exp(ROWS[:, 0]))
    answers = open_estimator(skops_io().dumps(model), REGRESSION).run({"input": ROWS}, ["value"])
    assert answers["value"].tolist() == model.predict(ROWS).tolist()


@pytest.mark.slow
def test_skops_comes_without_pytorch_which_can_be_had_afterwards() -> None:
    code = """
import importlib.util, sys
from secure_ml_api.runtimes.skops_files import skops_io
io = skops_io()
assert io.loads(io.dumps([1.5])) == [1.5]
assert "torch" not in sys.modules
name = "sklearn.externals.array_api_compat.torch"
assert name not in sys.modules and importlib.util.find_spec(name) is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
