"""Big models, and models with frameworks, come and go, again and again, while callers ask for others."""

from __future__ import annotations

import http.client
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from conftest import copied
from secure_ml_api.packaging import contest, stopwatch
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_estimator
from support.boosted import lightgbm_model, rows, table, xgboost_model
from support.fault_table import Figures
from support.graphs import big_graph
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.meanwhile import RATE, Operator, OthersMeanwhile
from support.native_models import ESTIMATOR, NATIVE, pack_natives
from support.networks import ARCHITECTURE, offer_architecture
from support.packages import publish, store_in
from support.server import RunningServer, reply_of, wait_until

TIMES = 3


FRAMEWORKS = {
    "xgboost-itself": "XGBoost",
    "lightgbm-itself": "LightGBM",
    ESTIMATOR: "scikit-learn",
    NATIVE[0]: "PyTorch",
    NATIVE[1]: "TensorFlow",
}


class Big:
    """A model with two versions, of which the second is not always there."""

    def __init__(self, running: RunningServer, mib: int) -> None:
        store, graph = store_in(running.home), big_graph(mib)
        for version in ("1", "2"):
            publish(store, name="big", version=version, graph=graph)
        self._there, self._aside = store.models_directory / "big" / "2", running.home / "aside"
        self._operator = Operator(running)
        self._operator.decide("unload", "big")
        self._there.rename(self._aside)

    def live(self, times: int) -> None:
        """It is loaded, then in a new version, and unloaded."""
        for _ in range(times):
            self._operator.decide("load", "big")
            self._aside.rename(self._there)
            self._operator.decide("load", "big")
            self._operator.decide("unload", "big")
            self._there.rename(self._aside)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At length: all frameworks, and two sizes, in MiB, each as often as takes half a minute; otherwise one of each."""
    full = bool(metafunc.config.getoption("--figures"))
    if "life" in metafunc.fixturenames:
        metafunc.parametrize("life", [(64, 15), (256, 5)] if full else [(16, 1)], ids=lambda life: f"{life[0]}-MiB")
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", list(FRAMEWORKS) if full else ["xgboost-itself"])


@pytest.fixture(scope="module")
def home(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory, full: bool) -> Path:
    """A home whose models are run by the frameworks that they were trained with, and are all unloaded."""
    directory = tmp_path_factory.mktemp("frameworks")
    home = copied(prepared_home, directory)
    store, native = store_in(home), Options(allow_native=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stopwatch, "_SECONDS_EACH", 0.0)
        patch.setattr(contest, "CANDIDATES", ())
        pack = partial(pack_estimator, sample=table(rows(200)), store=store, options=native)
        pack(xgboost_model("binary"), name="xgboost-itself")
        if full:
            pack(lightgbm_model("binary"), name="lightgbm-itself")
            pack_natives(store, offer_architecture(directory), {}, {})
    for name in store.names():
        store.unload(name)
    return home


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {
        **QUIETLY,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(home.parent / "architectures")]),
        "SECURE_ML_API_INFERENCE__ARCHITECTURES": ARCHITECTURE,
    }


@pytest.fixture
def server(home: Path, worker_class: str, environ: dict[str, str], tmp_path: Path) -> Iterator[Loaded]:
    with RunningServer(copied(home, tmp_path), "--workers", "2", command=HANGING, environ=environ) as running:
        yield Loaded(running)


def test_a_framework_comes_with_a_model_without_a_failed_request_or_a_slow_one(
    server: Loaded, worker_class: str, figures: Figures, full: bool, model: str
) -> None:
    running, operator, others = server.running, Operator(server.running), OthersMeanwhile(server, 10 if full else 1)
    times = TIMES if full else 1

    def comes() -> None:
        before = running.worker_pids()
        operator.decide("load", model)
        wait_until(lambda: not before & running.worker_pids(), what="no workers but those with the framework")

    def forgotten() -> None:
        operator.decide("unload", model)
        running.reload()  # to workers that have not imported it

    others.while_(comes, times=times, between=forgotten)
    assert running.metric("secure_ml_api_model_info", model=model) > 0
    assert running.metric("secure_ml_api_workers_ended_total", reason="relief") == 2 * times
    figures.add(
        f"a model that {FRAMEWORKS[model]} runs is loaded, ×{times} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(others.seconds)),
        f"{in_words(others.outcome)}; {others.in_words()}; each time took {others.seconds / times:.1f} s",
        must_hold="0 failed requests; p99 of other models ≤ 2 × that before",
    )
    others.judge(full=full)


def test_who_kept_its_connection_while_a_framework_came_is_answered_by_the_model_or_finds_it_closed(
    server: Loaded,
) -> None:
    running, features = server.running, [0.0] * len(rows(1)[0])
    given = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    connections = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=20) for _ in range(16)]

    def ask(connection: http.client.HTTPConnection, model: str, features: list[float]) -> int:
        body = json.dumps({"features": features})
        connection.request("POST", f"/v1/models/{model}/predict", body=body, headers=given)
        return reply_of(connection.getresponse()).status

    assert {ask(connection, "tiny", [1, 2]) for connection in connections} == {200}
    Operator(running).decide("load", "xgboost-itself")
    statuses: Counter[int | str] = Counter()
    for connection in connections:
        with closing(connection):
            try:
                statuses[ask(connection, "xgboost-itself", features)] += 1
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                statuses["closed"] += 1
    assert statuses.keys() <= {200, "closed"}


def test_workers_of_granian_s_load_a_framework_themselves(home: Path, environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {"SECURE_ML_API_SERVER__WORKER_CLASS": "granian"}
    with RunningServer(copied(home, tmp_path), "--workers", "2", command=HANGING, environ=environ) as running:
        before = running.worker_pids()
        Operator(running).decide("load", "xgboost-itself")
        assert running.metric("secure_ml_api_model_info", model="xgboost-itself") > 0
        assert running.worker_pids() == before


def test_a_big_model_comes_and_goes_without_a_failed_request_or_a_slow_one(
    tmp_path: Path, worker_class: str, figures: Figures, full: bool, life: tuple[int, int]
) -> None:
    mib, times = life
    with RunningServer(tmp_path / "home", "--workers", "2", command=HANGING, environ=QUIETLY) as running:
        big, others = Big(running, mib), OthersMeanwhile(Loaded(running), 10 if full else 1)
        others.while_(partial(big.live, times))
    figures.add(
        f"a model of {mib} MiB is loaded, replaced and unloaded, ×{times} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(others.seconds)),
        f"{in_words(others.outcome)}; {others.in_words()}; each time took {others.seconds / times:.1f} s",
        must_hold="0 failed requests; p99 of other models ≤ 2 × that before",
    )
    others.judge(full=full)
