"""Networks behind a real server with two workers: as graphs, and hot-loaded for PyTorch and TensorFlow themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits
from tritonclient.http import InferenceServerClient, InferInput

from conftest import copied
from secure_ml_api.cli.models_life import take_effect
from secure_ml_api.client import BadRequest, Client
from secure_ml_api.examples.networks import NETWORK_EXAMPLES
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.pack import pack_estimator
from secure_ml_api.settings import read_settings
from secure_ml_api.tensors import NUMPY_DTYPES, Datatype
from support.digit_networks import BRANCHES, RECURRENT, new_digits, pack_read_networks
from support.native_models import ESTIMATOR, NATIVE, pack_natives
from support.networks import ARCHITECTURE, offer_architecture
from support.one_worker import has_answered, of_each_worker
from support.open_loop import OpenLoop
from support.outcome import Outcome
from support.packages import store_in
from support.request_bytes import post
from support.server import ClientSecret, RunningServer, command_line, wait_until

pytestmark = pytest.mark.timeout(
    600
)  # before the first of them six networks are packed, and frameworks imported by all workers

DIGITS = tuple(NETWORK_EXAMPLES)
READ = (RECURRENT, BRANCHES)
IMAGES = "digits-tensorflow"
HOT = (*NATIVE, ESTIMATOR)
ALL = (*DIGITS, *READ, *HOT)
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
    pack_read_networks(store, directory, rows, wanted)
    architectures = offer_architecture(directory)
    pack_natives(store, architectures, rows, wanted)
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


def test_networks_are_served_as_graphs_unless_there_is_none(served: Served) -> None:
    store = Store(served.server.home / "models", served.server.home / "keys")
    manifests = {name: store.verify(name, "1").manifest for name in ALL}
    assert [each.runtime for each in manifests.values()] == ["onnx"] * 4 + ["torch", "tensorflow", "sklearn"]
    assert manifests[RECURRENT].provenance.graph.startswith("tf2onnx")
    assert manifests[BRANCHES].provenance.graph.startswith("layer by layer")
    for name in DIGITS:
        assert manifests[name].metrics["accuracy"] > 0.95


@pytest.mark.parametrize("name", DIGITS)
def test_the_card_of_an_example_tells_its_data_and_what_the_network_is_made_of(served: Served, name: str) -> None:
    authorization = {"Authorization": f"Bearer {served.token}"}
    card = served.server.request("GET", f"/v2/models/{name}", headers=authorization).json()["parameters"]
    assert card["training_data"]["rows"] == len(load_digits().target) * 4 // 5
    assert int(card["hyperparameters"]["weights"]) > 4000
    assert {"digits-torch": "Linear", IMAGES: "Conv2D"}[name] in card["hyperparameters"]["layers"]


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


@pytest.mark.parametrize("name", ALL)
def test_rows_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    body = {"instances": served.rows[name].tolist(), "outputs": ["probabilities"]}
    answer = served.ask(f"/v1/models/{name}/predict", body)
    assert answer["predictions"] == served.wanted[name].argmax(axis=1).tolist()
    np.testing.assert_allclose(answer["probabilities"], served.wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_tensors_in_json_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    rows = served.rows[name]
    tensor = {"name": "input", "datatype": datatype(name), "shape": list(rows.shape), "data": rows.ravel().tolist()}
    answer = served.ask(f"/v2/models/{name}/infer", {"inputs": [tensor]})
    outputs = {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}
    assert outputs["label"].tolist() == served.wanted[name].argmax(axis=1).tolist()
    np.testing.assert_allclose(outputs["probabilities"], served.wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_binary_tensors_are_answered_as_the_framework_answers_them(served: Served, name: str) -> None:
    rows = served.rows[name].astype(NUMPY_DTYPES[datatype(name)])
    tensor = InferInput("input", rows.shape, datatype(name))
    tensor.set_data_from_numpy(rows)
    client = InferenceServerClient(f"127.0.0.1:{served.server.port}")
    answer = client.infer(name, [tensor], headers={"Authorization": f"Bearer {served.token}"})
    client.close()
    assert answer.as_numpy("label").tolist() == served.wanted[name].argmax(axis=1).tolist()
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


def test_frameworks_are_built_in_a_worker_that_is_forked_while_callers_ask_for_them(served: Served) -> None:
    request = post(f"/v1/models/{NATIVE[0]}/predict", {"features": served.rows[NATIVE[0]][0].tolist()}, served.token)
    before = served.server.worker_pids()
    with OpenLoop(served.server.port, request, rate=50, seconds=300, connections=16) as load:
        load.wait_for_flow()
        try:
            served.server.kill_worker()
            successors = served.server.worker_pids() - before
            wait_until(lambda: has_answered(served.server, successors), 240, "an answer of the successor")
        finally:
            load.stop()
    assert set(load.outcome.statuses()) <= {200, 0}  # 0: what the one that was killed had in hand
    for name in HOT:
        assert _predicted_by_each_worker(served, name) == [served.wanted[name].argmax(axis=1).tolist()] * WORKERS, name


def _predicted_by_each_worker(served: Served, name: str) -> list[list[int]]:
    body = {"instances": served.rows[name].tolist()}
    return of_each_worker(served.server, lambda: served.ask(f"/v1/models/{name}/predict", body)["predictions"])


def test_server_writes_nothing_but_json_whatever_the_frameworks_say(served: Served) -> None:
    lines = (served.server.home.parent / f"{served.server.home.name}.stderr").read_text().splitlines()
    assert lines
    for line in lines:
        json.loads(line)
