"""Big models, and models with frameworks, come and go, again and again, while callers ask for others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
from support.native_models import ESTIMATOR, NATIVE, pack_natives
from support.networks import ARCHITECTURE, offer_architecture
from support.open_loop import Outcome
from support.packages import publish, store_in
from support.server import RunningServer, wait_until
from support.under_load import milliseconds

RATE = 100
TIMES = 3
WORDS = {"tiny": "the quick model", "sleeper": "that of 5 ms"}


FRAMEWORKS = {
    "xgboost-itself": "XGBoost",
    "lightgbm-itself": "LightGBM",
    ESTIMATOR: "scikit-learn",
    NATIVE[0]: "PyTorch",
    NATIVE[1]: "TensorFlow",
}


class Operator:
    """Who decides about the models of ``running``."""

    def __init__(self, running: RunningServer) -> None:
        self._running = running
        self._token = running.token(running.create_client("operator", "models:admin"))

    def decide(self, action: str, model: str) -> None:
        reply = self._running.post_json(f"/v2/repository/models/{model}/{action}", {}, self._token)
        assert reply.status == 200, reply.body


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


class OthersMeanwhile:
    """How callers of the quick model and of that of 5 ms fare before something happens, and while it does."""

    def __init__(self, server: Loaded, calm_seconds: float) -> None:
        self._server = server
        self._calm_seconds = calm_seconds
        self.outcome = Outcome([])
        self.seconds = 0.0
        self._before: dict[str, Outcome] = {}
        self._meanwhile: dict[str, Outcome] = {}

    def while_(self, happens: Callable[[], object]) -> None:
        server = self._server
        with server.load_meanwhile(RATE) as load:
            begun = load.now()
            wait_until(lambda: load.now() > begun + self._calm_seconds)
            comes = load.now()
            happens()
            gone = load.now()
        self.outcome, self.seconds = load.outcome, gone - comes
        self._before = server.by_model(load.outcome.between(begun, comes), RATE)
        self._meanwhile = server.by_model(load.outcome.between(comes, gone), RATE)

    def p99(self) -> dict[str, tuple[float, float]]:
        """In seconds, before and meanwhile, of each model."""
        return {model: (self._before[model].latency(99), self._meanwhile[model].latency(99)) for model in WORDS}

    def in_words(self) -> str:
        return "; ".join(
            f"p99 of {WORDS[model]} {milliseconds(now)}, before {milliseconds(calm)}"
            for model, (calm, now) in self.p99().items()
        )

    def judge(self, *, full: bool) -> None:
        assert set(self.outcome.statuses()) == {200}
        if full:
            assert all(now <= 2 * calm for calm, now in self.p99().values())


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
def server(home: Path, worker_class: str, tmp_path: Path) -> Iterator[Loaded]:
    architectures = home.parent / "architectures"
    environ = {
        **QUIETLY,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(architectures)]),
        "SECURE_ML_API_INFERENCE__ARCHITECTURES": ARCHITECTURE,
    }
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

    def comes_often() -> None:
        comes()
        for _ in range(times - 1):
            operator.decide("unload", model)
            running.reload()  # to workers that have not imported it
            comes()

    others.while_(comes_often)
    assert running.metric("secure_ml_api_model_info", model=model) > 0
    assert running.metric("secure_ml_api_workers_ended_total", reason="relief") == 2 * times
    figures.add(
        f"a model of {FRAMEWORKS[model]}'s is loaded, which no worker has imported, ×{times} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(others.seconds)),
        f"{in_words(others.outcome)}; {others.in_words()}; each time took {others.seconds / times:.1f} s",
        must_hold="0 failed requests; p99 of other models ≤ 2 × that before",
    )
    others.judge(full=full)


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
