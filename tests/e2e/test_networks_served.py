"""Networks behind a real server with two workers: as graphs, and hot-loaded for PyTorch and TensorFlow themselves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.semi_supervised import LabelPropagation
from tritonclient.http import InferenceServerClient, InferInput

from conftest import copied
from secure_ml_api.cli.models_life import take_effect
from secure_ml_api.client import BadRequest, Client
from secure_ml_api.examples.networks import NETWORK_EXAMPLES
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import Network
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_estimator, pack_network
from secure_ml_api.settings import read_settings
from secure_ml_api.tensors import NUMPY_DTYPES, Datatype
from support.lazily import Lazily
from support.networks import ARCHITECTURE, CLASSES, FEATURES, keras_model, offer_architecture, table, torch_module
from support.one_worker import of_each_worker
from support.open_loop import OpenLoop, Outcome, post
from support.packages import store_in
from support.server import ClientSecret, RunningServer, command_line

keras = Lazily("keras")

pytestmark = pytest.mark.timeout(
    600
)  # before the first of them four networks are packed, and frameworks imported by all workers

DIGITS = tuple(NETWORK_EXAMPLES)
IMAGES = "digits-tensorflow"
NATIVE = ("torch-itself", "tensorflow-itself")
ESTIMATOR = "scikit-learn-itself"
HOT = (*NATIVE, ESTIMATOR)
WORKERS = 2


class Served(NamedTuple):
    """A server, who may ask it, and for each model 1000 rows and what the framework answers to them."""

    server: RunningServer
    known: ClientSecret
    token: str
    rows: dict[str, np.ndarray[Any, Any]]
    wanted: dict[str, np.ndarray[Any, Any]]
    meanwhile: dict[str, Outcome]
    """How callers of another model fared while a native one was loaded."""

    def ask(self, path: str, body: Any) -> Any:
        reply = self.server.post_json(path, body, self.token)
        assert reply.status == 200, reply.body
        return reply.json()


@pytest.fixture(scope="module")
def served(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("networks")
    home = copied(prepared_home, directory)
    store, rows, wanted = store_in(home), {}, {}
    for name, example in NETWORK_EXAMPLES.items():
        trained = example.train()
        pack_estimator(trained.estimator, trained.sample, store=store, name=name, options=trained.options)
        given = new_digits(np.column_stack([trained.sample.columns[each] for each in trained.sample.names]))
        wanted[name] = trained.estimator.predict_proba(given)
        rows[name] = given.astype(np.uint8).reshape(-1, 8, 8, 1) if name == IMAGES else given
    architectures = offer_architecture(directory)
    _pack_natives(store, architectures, rows, wanted)
    for name in HOT:
        store.unload(name)
    environ = {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(architectures)]),
        "SECURE_ML_API_INFERENCE__ARCHITECTURES": ARCHITECTURE,
    }
    with RunningServer(home, "--workers", str(WORKERS), environ=environ) as server:
        client = server.create_client("networks", "predict:*", "models:read", rate="100000/minute")
        token = server.token(client)
        meanwhile = {name: _hot_loaded(server, name, rows[DIGITS[0]][0], token) for name in HOT}
        yield Served(server, client, token, rows, wanted, meanwhile)


def _pack_natives(store: Store, architectures: Path, rows: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Two networks, and an estimator, that no graph answers like; 1000 rows of each and what it answers to them."""
    drawn = np.random.default_rng(13).normal(size=(1000, FEATURES)).astype(np.float32)
    sys.path.insert(0, str(architectures))
    try:
        torch_network = TorchNetwork(
            torch_module(), architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": CLASSES}
        )
        torch_network.graphs = lambda: ()  # type: ignore[method-assign]
        keras_network = KerasNetwork(
            keras_model(keras.layers.LayerNormalization(), keras.layers.Dense(CLASSES, activation="softmax"))
        )
        keras_network.graphs = lambda: ()  # type: ignore[method-assign]
        networks: tuple[Network, ...] = (torch_network, keras_network)
        for name, network in zip(NATIVE, networks, strict=True):
            pack_network(network, table(), store=store, name=name, options=Options(allow_native=True))
            outputs = network.outputs(drawn)
            rows[name], wanted[name] = drawn, outputs if name == NATIVE[1] else _softmax(outputs)
    finally:
        sys.path.remove(str(architectures))
    estimator = LabelPropagation(gamma=0.5, max_iter=5000).fit(drawn[:200], drawn[:200, :CLASSES].argmax(axis=1))
    pack_estimator(estimator, table(), store=store, name=ESTIMATOR, options=Options(allow_native=True))
    rows[ESTIMATOR], wanted[ESTIMATOR] = drawn, estimator.predict_proba(drawn)


def _hot_loaded(server: RunningServer, name: str, row: np.ndarray[Any, Any], token: str) -> Outcome:
    """What became of requests for a model that serves while ``name`` was loaded, with its framework, by each worker."""
    request = post(f"/v1/models/{DIGITS[0]}/predict", {"features": row.tolist()}, token)
    with OpenLoop(server.port, request, rate=50, seconds=240, connections=16) as load:
        load.wait_for_flow()
        try:
            store_in(server.home).load(name)  # not by the command, which is not waited for for so long
            assert take_effect(read_settings(server.home, {}), name).told["workers"] == WORKERS
        finally:
            load.stop()
    return load.outcome


def datatype(name: str) -> Datatype:
    return "UINT8" if name == IMAGES else "FP64" if name == ESTIMATOR else "FP32"


def new_digits(known: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """1000 digits [rows, 64] that are not among ``known``: each of two known ones, moved by a pixel and laid over."""
    random = np.random.default_rng(17)
    first, second = (known[random.integers(0, len(known), 1000)].reshape(-1, 8, 8) for _ in range(2))
    made: np.ndarray[Any, Any] = np.maximum(np.roll(first, 1, axis=2), second // 2).reshape(-1, 64)
    made = made.astype(known.dtype)
    seen = {row.tobytes() for row in known}
    assert not any(row.tobytes() in seen for row in made)
    return made


def _softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def test_networks_are_served_as_graphs_unless_there_is_none(served: Served) -> None:
    store = Store(served.server.home / "models", served.server.home / "keys")
    runtimes = [store.verify(name, "1").manifest.runtime for name in (*DIGITS, *HOT)]
    assert runtimes == ["onnx", "onnx", "torch", "tensorflow", "sklearn"]
    for name in DIGITS:
        assert store.verify(name, "1").manifest.metrics["accuracy"] > 0.95


@pytest.mark.parametrize("name", HOT)
def test_no_caller_of_another_model_fails_while_a_framework_is_loaded(served: Served, name: str) -> None:
    assert served.meanwhile[name].answers
    assert set(served.meanwhile[name].statuses()) == {200}, served.meanwhile[name].errors()


@pytest.mark.parametrize("name", HOT)
def test_model_that_was_loaded_while_the_server_ran_answers_in_every_worker(served: Served, name: str) -> None:
    body = {"features": served.rows[name][0].tolist()}
    wanted = int(served.wanted[name][0].argmax())
    given = of_each_worker(served.server, lambda: served.ask(f"/v1/models/{name}/predict", body)["prediction"])
    assert given == [wanted] * WORKERS


def test_a_model_of_images_says_that_it_takes_them(served: Served) -> None:
    reply = served.server.request(
        "GET", f"/v2/models/{IMAGES}", headers={"Authorization": f"Bearer {served.token}"}
    ).json()
    assert reply["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]


def test_python_client_sends_images_as_they_are(served: Served) -> None:
    images = served.rows[IMAGES][:50]
    with Client(served.server.base_url, served.known.client_id, served.known.client_secret) as client:
        given = client.predict(IMAGES, images)
        assert given["label"].tolist() == served.wanted[IMAGES][:50].argmax(axis=1).tolist()
        with pytest.raises(BadRequest, match="UINT8"):
            client.predict(IMAGES, images + 0.5)


def test_images_with_their_answers_measure_a_model_as_it_answers_callers(served: Served, tmp_path: Path) -> None:
    digits = load_digits()
    images, truth = digits.images[..., None].astype(np.uint8), digits.target
    np.savez_compressed(tmp_path / "digits.npz", input=images, target=truth)
    said = command_line(served.server.home, "models", "evaluate", IMAGES, "--data", str(tmp_path / "digits.npz"))
    answered: list[int] = []
    for start in range(0, len(images), 600):
        body = {"instances": images[start : start + 600].tolist()}
        answered += served.ask(f"/v1/models/{IMAGES}/predict", body)["predictions"]
    assert said["rows"] == len(truth)
    assert said["metrics"]["accuracy"] == pytest.approx(np.mean(np.array(answered) == truth))
    assert said["metrics"]["accuracy"] > 0.95


@pytest.mark.parametrize("name", [*DIGITS, *HOT])
def test_rows_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    body = {"instances": served.rows[name].tolist(), "outputs": ["probabilities"]}
    answer = served.ask(f"/v1/models/{name}/predict", body)
    assert answer["predictions"] == served.wanted[name].argmax(axis=1).tolist()
    np.testing.assert_allclose(answer["probabilities"], served.wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [*DIGITS, *HOT])
def test_tensors_in_json_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    rows = served.rows[name]
    tensor = {"name": "input", "datatype": datatype(name), "shape": list(rows.shape), "data": rows.ravel().tolist()}
    answer = served.ask(f"/v2/models/{name}/infer", {"inputs": [tensor]})
    outputs = {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}
    assert outputs["label"].tolist() == served.wanted[name].argmax(axis=1).tolist()
    np.testing.assert_allclose(outputs["probabilities"], served.wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [*DIGITS, *HOT])
def test_binary_tensors_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    rows = served.rows[name].astype(NUMPY_DTYPES[datatype(name)])
    tensor = InferInput("input", rows.shape, datatype(name))
    tensor.set_data_from_numpy(rows)
    client = InferenceServerClient(f"127.0.0.1:{served.server.port}")
    answer = client.infer(name, [tensor], headers={"Authorization": f"Bearer {served.token}"})
    client.close()
    np.testing.assert_allclose(answer.as_numpy("probabilities"), served.wanted[name], rtol=1e-3, atol=1e-5)


def test_workers_that_were_forked_run_their_frameworks_for_many_callers_at_once(served: Served) -> None:
    def ask(number: int) -> bool:
        name, row = (*NATIVE, *DIGITS)[number % 4], number % 1000
        body = json.dumps({"features": served.rows[name][row].tolist()}).encode()
        headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
        reply = served.server.request("POST", f"/v1/models/{name}/predict", body=body, headers=headers)
        return reply.status == 200 and reply.json()["prediction"] == int(served.wanted[name][row].argmax())

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(ask, range(400)))
    assert len(served.server.worker_pids()) == WORKERS


def test_server_writes_nothing_but_json_whatever_the_frameworks_say(served: Served) -> None:
    lines = (served.server.home.parent / f"{served.server.home.name}.stderr").read_text().splitlines()
    assert lines
    for line in lines:
        json.loads(line)
