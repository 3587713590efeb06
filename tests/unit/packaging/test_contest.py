"""Several forms of a model are proven and timed against each other, and the table says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging import build as build_room
from secure_ml_api.packaging import contest
from secure_ml_api.packaging.build import AS_TRAINED, Built, build
from secure_ml_api.packaging.candidates import CANDIDATES
from secure_ml_api.packaging.contest import proven
from secure_ml_api.packaging.extras import quiet
from secure_ml_api.packaging.natives import open_model
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.proof import prove
from secure_ml_api.packaging.stopwatch import ROW_COUNTS
from secure_ml_api.packaging.subject import Subject
from secure_ml_api.packaging.table import Table
from secure_ml_api.tensors import NUMPY_DTYPES, Tensors

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(300, 4))
NAMES = ["a", "b", "c", "d"]
SAMPLE = Table.of_matrix(ROWS, NAMES)
CLASSES = np.digitize(ROWS[:, 0] + RANDOM.normal(0, 0.3, 300), [-0.5, 0.5])
MODELS: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeClassifier(random_state=0).fit(ROWS, CLASSES),
    "forest": lambda: RandomForestClassifier(20, random_state=0).fit(ROWS, CLASSES),
    "linear": lambda: LinearRegression().fit(ROWS, ROWS[:, 0]),
    "svc": lambda: SVC().fit(ROWS, CLASSES),
    "neighbours": lambda: KNeighborsClassifier(3).fit(ROWS, CLASSES),
    "isolation": lambda: make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, random_state=0)).fit(ROWS),
}


def ticking() -> Callable[[], float]:
    """A clock on which every run takes as long as every other."""
    ticks = count()
    return lambda: next(ticks) * 0.001


def table(built: Built) -> dict[str, list[int]]:
    """Form → the numbers of rows that it was timed on."""
    rows: dict[str, list[int]] = {}
    for timing in built.blueprint.timings:
        rows.setdefault(timing.graph, []).append(timing.rows)
    return rows


@pytest.mark.parametrize("model", MODELS)
def test_every_form_that_may_be_kept_answers_1000_new_rows_as_the_trained_model_does(model: str) -> None:
    trained = MODELS[model]()
    with quiet():
        found, _ = proven(Subject.of(trained, SAMPLE, Options(allow_native=True)))
    names = [each.name for each in found]
    assert names[0].startswith("skl2onnx float32")
    assert names[-1] == "scikit-learn itself"
    assert any("hand-written" in name for name in names) == (model in {"svc", "neighbours", "isolation"})
    fresh = np.random.default_rng(12).normal(size=(1000, 4)).astype(np.float32).astype(np.float64)
    for each in found:
        signature = each.reference.signature
        session = open_model(each.runtime, each.model, signature)
        given = {"input": fresh.astype(NUMPY_DTYPES[signature.inputs[0].datatype])}
        answers = session.run(given, [spec.name for spec in signature.outputs])
        if "label" in answers:
            assert (answers["label"] == trained.predict(fresh)).mean() >= 0.999, each.name
        if "probabilities" in answers:
            np.testing.assert_allclose(answers["probabilities"], trained.predict_proba(fresh), atol=1e-5)
        if "score" in answers:
            np.testing.assert_allclose(answers["score"], trained.decision_function(fresh), atol=1e-5)
        if "value" in answers:
            np.testing.assert_allclose(answers["value"], trained.predict(fresh), rtol=1e-4, atol=1e-5)


def test_the_table_holds_every_proven_form_the_kept_one_and_the_model_as_trained() -> None:
    built = build(MODELS["neighbours"](), SAMPLE, Options())
    rows = table(built)
    assert set(rows) == {
        "skl2onnx float32",
        "skl2onnx float32, optimised",
        "hand-written float32, optimised",
        AS_TRAINED,
    }
    assert all(sorted(counts) == sorted(ROW_COUNTS) for counts in rows.values())
    assert built.blueprint.provenance.graph in rows
    assert built.blueprint.provenance.graph != AS_TRAINED
    assert all(timing.microseconds > 0 for timing in built.blueprint.timings)


def test_forms_that_take_as_long_as_each_other_leave_the_plainest() -> None:
    built = build(MODELS["neighbours"](), SAMPLE, Options(), clock=ticking())
    assert built.blueprint.provenance.graph == "skl2onnx float32"


def test_the_form_that_the_stopwatch_names_is_the_one_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_room, "fastest", lambda timings: "hand-written float32, optimised")
    built = build(MODELS["neighbours"](), SAMPLE, Options(), clock=ticking())
    assert built.blueprint.provenance.graph == "hand-written float32, optimised"
    assert b"TopK" in built.model
    assert b"Scan" not in built.model


def test_a_form_that_is_wrong_is_never_timed_however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    written = next(candidate for candidate in CANDIDATES if candidate.kind == "written")
    other = KNeighborsClassifier(3).fit(ROWS, CLASSES[::-1])

    def wrong(trained: Any, signature: Any) -> bytes:
        return written.build(type(trained)(other, SAMPLE), signature)

    forged = type(written)("quick and wrong", "written", "FP32", 0, wrong)
    monkeypatch.setattr(contest, "CANDIDATES", (CANDIDATES[0], forged))
    assert "quick and wrong, optimised" not in table(build(MODELS["neighbours"](), SAMPLE, Options()))


def test_more_careful_forms_of_a_kind_are_tried_only_when_plainer_ones_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = next(candidate for candidate in CANDIDATES if candidate.name == "hand-written float32")

    def fails(trained: Any, signature: Any) -> bytes:
        raise PackingError("not today")

    replaced = type(plain)(plain.name, plain.kind, plain.datatype, plain.tier, fails)
    forms = tuple(replaced if candidate is plain else candidate for candidate in CANDIDATES)
    monkeypatch.setattr(contest, "CANDIDATES", forms)
    rows = table(build(MODELS["neighbours"](), SAMPLE, Options()))
    assert "hand-written float32, products in float64, optimised" in rows
    assert not any("differences" in name for name in rows)


def of_logarithm() -> Any:
    """A model that no graph is made of: its target went through a logarithm."""
    return TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(ROWS, np.exp(ROWS[:, 0]))


def test_without_consent_no_package_ever_needs_scikit_learn() -> None:
    assert "scikit-learn itself" not in table(build(MODELS["svc"](), SAMPLE, Options()))
    with pytest.raises(PackingError, match="or let scikit-learn itself serve it, with --allow-sklearn"):
        build(of_logarithm(), SAMPLE, Options())


def test_with_consent_a_model_that_no_graph_answers_like_is_served_by_scikit_learn() -> None:
    model = of_logarithm()
    built = build(model, SAMPLE, Options(allow_native=True))
    assert built.blueprint.runtime == "sklearn"
    assert built.blueprint.provenance.graph == "scikit-learn itself"
    session = open_model("sklearn", built.model, built.blueprint.signature)
    assert session.run({"input": ROWS}, ["value"])["value"].tolist() == model.predict(ROWS).tolist()


def test_with_consent_a_graph_that_is_faster_is_still_kept() -> None:
    built = build(LogisticRegression().fit(ROWS, CLASSES), SAMPLE, Options(allow_native=True), clock=ticking())
    assert built.blueprint.runtime == "onnx"
    assert "scikit-learn itself" in table(built)


def test_a_form_that_is_wrong_on_a_row_by_itself_is_refused() -> None:
    class Moody:
        """Right about many rows, wrong about one."""

        def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
            rows = inputs["input"]
            return {"value": rows[:, 0] + (1.0 if len(rows) == 1 else 0.0)}

    reference = Subject.of(MODELS["linear"](), SAMPLE, Options()).reference("FP64")
    with pytest.raises(PackingError, match="differ on 150 of 300 sample rows"):
        prove(Moody(), reference)
