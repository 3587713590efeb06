"""Boosted trees in both forms, a reader of texts, a model for scikit-learn: every protocol answers as they do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.semi_supervised import LabelPropagation
from tritonclient.http import InferenceServerClient, InferInput

from secure_ml_api.cli.init import prepare
from secure_ml_api.models.store import Store
from secure_ml_api.packaging import contest, stopwatch
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_estimator
from secure_ml_api.packaging.table import Table
from secure_ml_api.settings import read_settings
from support.boosted import classes, lightgbm_model, rows, table, text_model, texts, xgboost_model
from support.one_worker import of_each_worker
from support.server import RunningServer

WORKERS = 2
ROWS = rows(1000, seed=11)
TEXTS, _ = texts(1000, seed=12)
NATIVE = Options(allow_native=True)


@cache
def spread_model() -> LabelPropagation:
    """A classifier that no converter covers."""
    given = rows(200)
    return LabelPropagation(max_iter=5000).fit(given, classes(given, 3))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of each library as graphs and three as they are, one of texts, and one for scikit-learn."""
    directory = tmp_path_factory.mktemp("frameworks")
    settings = read_settings(directory / "home", {})
    prepare(settings, examples=False)
    store = Store.of(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stopwatch, "_SECONDS_EACH", 0.0)
        for library, model in (("xgboost", xgboost_model), ("lightgbm", lightgbm_model)):
            for kind in ("binary", "multiclass", "regression"):
                pack_estimator(model(kind), table(rows(200)), store=store, name=f"{library}-{kind}-onnx")
        pack_estimator(text_model(), Table({"text": texts(200)[0]}), store=store, name="topics")
        pack_estimator(spread_model(), table(rows(200)), store=store, name="spread-native", options=NATIVE)
        patch.setattr(contest, "CANDIDATES", ())
        for library, model in (("xgboost", xgboost_model), ("lightgbm", lightgbm_model)):
            for kind in ("binary", "multiclass", "regression"):
                name = f"{library}-{kind}-native"
                pack_estimator(model(kind), table(rows(200)), store=store, name=name, options=NATIVE)
    return settings.home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RunningServer]:
    with RunningServer(home, "--workers", str(WORKERS)) as running:
        yield running


@dataclass(frozen=True)
class Asking:
    """One caller with the right to ask everything."""

    server: RunningServer
    token: str
    triton: InferenceServerClient

    def rows(self, name: str, instances: list[Any]) -> dict[str, Any]:
        outputs = {} if "regression" in name else {"outputs": ["probabilities"]}
        reply = self.server.post_json(f"/v1/models/{name}/predict", {"instances": instances, **outputs}, self.token)
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = reply.json()
        return answer

    def tensors(self, name: str, datatype: str, shape: list[int], data: list[Any], tensor: str) -> dict[str, Any]:
        given = {"name": tensor, "datatype": datatype, "shape": shape, "data": data}
        reply = self.server.post_json(f"/v2/models/{name}/infer", {"inputs": [given]}, self.token)
        assert reply.status == 200, reply.body
        return {output["name"]: np.reshape(output["data"], output["shape"]) for output in reply.json()["outputs"]}

    def binary(self, name: str, tensor: str, datatype: str, array: Any, outputs: list[str]) -> dict[str, Any]:
        given = InferInput(tensor, array.shape, datatype)
        given.set_data_from_numpy(array)
        answer = self.triton.infer(name, [given], headers={"Authorization": f"Bearer {self.token}"})
        return {output: answer.as_numpy(output) for output in outputs}


@pytest.fixture(scope="module")
def asking(server: RunningServer) -> Iterator[Asking]:
    scopes = ("predict:*", "models:read")
    client = server.create_client("all", *scopes, rate="100000/minute", rows="10000000/minute")
    triton = InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4)
    yield Asking(server, server.token(client), triton)
    triton.close()


def expected(model: Any, given: Any) -> dict[str, Any]:
    """What the library itself answers, under the names of the tensors."""
    if not hasattr(model, "classes_"):
        return {"value": model.predict(given)}
    known = list(model.classes_)
    numbers = [known.index(value) for value in model.predict(given)]
    return {"label": np.array(numbers), "probabilities": model.predict_proba(given)}


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, tensor in wanted.items():
        if name == "label":
            np.testing.assert_array_equal(found[name], tensor)
        else:
            np.testing.assert_allclose(found[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "native"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosted_trees_answer_a_thousand_rows_as_their_library_does(
    asking: Asking, library: str, kind: str, form: str
) -> None:
    model = xgboost_model(kind) if library == "xgboost" else lightgbm_model(kind)
    name, wanted = f"{library}-{kind}-{form}", expected(model, ROWS)
    metadata = asking.server.get(f"/v2/models/{name}", asking.token).json()
    datatype = metadata["inputs"][0]["datatype"]

    answer = asking.rows(name, ROWS.tolist())
    by_rows = {"value" if kind == "regression" else "label": answer["predictions"]}
    assert_same(by_rows | {"probabilities": answer.get("probabilities")}, wanted)
    assert_same(asking.tensors(name, datatype, [1000, 4], ROWS.ravel().tolist(), "input"), wanted)
    array = ROWS.astype(np.float32 if datatype == "FP32" else np.float64)
    assert_same(asking.binary(name, "input", datatype, array, list(wanted)), wanted)
    runtime = "onnx" if form == "onnx" else library
    assert asking.server.metric("secure_ml_api_model_info", model=name, runtime=runtime) > 0


def test_texts_are_answered_as_scikit_learn_answers_them(asking: Asking) -> None:
    wanted = expected(text_model(), TEXTS)
    answer = asking.rows("topics", [[text] for text in TEXTS])
    assert_same({"label": answer["predictions"], "probabilities": answer["probabilities"]}, wanted)
    assert_same(asking.tensors("topics", "BYTES", [1000, 1], TEXTS.tolist(), "text"), wanted)
    assert_same(asking.binary("topics", "text", "BYTES", TEXTS.reshape(-1, 1), list(wanted)), wanted)


@pytest.mark.parametrize(
    "text", ["", " ", "日本語 寿司", "İSTANBUL ſtraße", "e\u0301 café", "👩‍👩‍👧 goal 🎉", "a\x00b goal", "GOAL " * 6000]
)
def test_any_text_is_answered_the_same_by_every_protocol(asking: Asking, text: str) -> None:
    wanted = expected(text_model(), [text])
    assert_same({"label": asking.rows("topics", [{"text": text}])["predictions"]}, {"label": wanted["label"]})
    assert_same(asking.tensors("topics", "BYTES", [1], [text], "text"), wanted)
    array = np.array([[text.encode()]], dtype=np.object_)
    assert_same(asking.binary("topics", "text", "BYTES", array, list(wanted)), wanted)


def test_a_text_longer_than_its_bound_is_refused_by_row_and_every_protocol(asking: Asking) -> None:
    long = "word " * 10_000
    reply = asking.server.post_json("/v1/models/topics/predict", {"instances": [["short"], [long]]}, asking.token)
    assert reply.status == 422
    assert reply.json()["errors"] == [{"row": 1, "feature": "text", "detail": "expected at most 32768 characters"}]
    given = {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["short", long]}
    reply = asking.server.post_json("/v2/models/topics/infer", {"inputs": [given]}, asking.token)
    assert reply.status == 422
    assert reply.json()["errors"][0]["row"] == 1
    array = np.array([[long.encode()]], dtype=np.object_)
    with pytest.raises(Exception, match="do not fit the model"):
        asking.binary("topics", "text", "BYTES", array, ["label"])


def test_native_trees_answer_many_callers_at_once_on_both_workers(asking: Asking) -> None:
    """Their threads would hang on the far side of a fork, or mix up callers, if they could."""
    names = [f"{library}-{kind}-native" for library in ("xgboost", "lightgbm") for kind in ("binary", "multiclass")]
    wanted = {}
    for name in names:
        library, kind, _ = name.split("-")
        model = xgboost_model(kind) if library == "xgboost" else lightgbm_model(kind)
        wanted[name] = expected(model, ROWS)["label"]

    def ask(number: int) -> bool:
        name, start = names[number % len(names)], number * 7 % 900
        answer = asking.rows(name, ROWS[start : start + 1 + number % 50].tolist())
        return bool(answer["predictions"] == wanted[name][start : start + 1 + number % 50].tolist())

    with ThreadPoolExecutor(12) as crowd:
        assert all(crowd.map(ask, range(400)))
    for name in names:
        assert predicted_by_each_worker(asking, name) == [wanted[name].tolist()] * WORKERS, name


def predicted_by_each_worker(asking: Asking, name: str) -> list[list[int]]:
    return of_each_worker(asking.server, lambda: asking.rows(name, ROWS.tolist())["predictions"])


def test_scikit_learn_itself_answers_a_thousand_rows_by_every_protocol(asking: Asking) -> None:
    wanted = expected(spread_model(), ROWS)
    answer = asking.rows("spread-native", ROWS.tolist())
    assert_same({"label": answer["predictions"], "probabilities": answer["probabilities"]}, wanted)
    assert_same(asking.tensors("spread-native", "FP64", [1000, 4], ROWS.ravel().tolist(), "input"), wanted)
    assert_same(asking.binary("spread-native", "input", "FP64", ROWS, list(wanted)), wanted)
    assert asking.server.metric("secure_ml_api_model_info", model="spread-native", runtime="sklearn") > 0


def test_scikit_learn_itself_answers_many_callers_at_once_on_both_workers(asking: Asking) -> None:
    wanted = expected(spread_model(), ROWS)

    def ask(number: int) -> None:
        start = number * 7 % 900
        asked = slice(start, start + 1 + number % 50)
        answer = asking.rows("spread-native", ROWS[asked].tolist())
        found = {"label": answer["predictions"], "probabilities": answer["probabilities"]}
        assert_same(found, {name: tensor[asked] for name, tensor in wanted.items()})

    with ThreadPoolExecutor(12) as crowd:
        list(crowd.map(ask, range(400)))
    assert predicted_by_each_worker(asking, "spread-native") == [wanted["label"].tolist()] * WORKERS
