"""A big model comes, is replaced and goes, again and again, while callers ask for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fault_table import Figures
from support.graphs import big_graph
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.packages import publish, store_in
from support.server import RunningServer, wait_until
from support.under_load import milliseconds

RATE = 100
WORDS = {"tiny": "the quick model", "sleeper": "that of 5 ms"}


class Coming:
    """A model with two versions, of which the second is not always there."""

    def __init__(self, server: Loaded, mib: int) -> None:
        self._running = server.running
        store, graph = store_in(self._running.home), big_graph(mib)
        for version in ("1", "2"):
            publish(store, name="big", version=version, graph=graph)
        self._there, self._aside = store.models_directory / "big" / "2", self._running.home / "aside"
        self._operator = self._running.token(self._running.create_client("operator", "models:admin"))
        self.decide("unload")
        self._there.rename(self._aside)

    def live_a_life(self) -> None:
        """It is loaded, then in a new version, and unloaded."""
        self.decide("load")
        self._aside.rename(self._there)
        self.decide("load")
        self.decide("unload")
        self._there.rename(self._aside)

    def decide(self, action: str) -> None:
        reply = self._running.post_json(f"/v2/repository/models/big/{action}", {}, self._operator)
        assert reply.status == 200, reply.body


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At length: two sizes, in MiB, each as often as takes half a minute; otherwise a small one, once."""
    full = bool(metafunc.config.getoption("--figures"))
    metafunc.parametrize("life", [(64, 15), (256, 5)] if full else [(16, 1)], ids=lambda life: f"{life[0]}-MiB")


def test_a_big_model_comes_and_goes_without_a_failed_request_or_a_slow_one(
    tmp_path: Path, worker_class: str, figures: Figures, full: bool, life: tuple[int, int]
) -> None:
    (mib, times), calm_seconds = life, 10 if full else 1
    with RunningServer(tmp_path / "home", "--workers", "2", command=HANGING, environ=QUIETLY) as running:
        server = Loaded(running)
        big = Coming(server, mib)
        with server.load_meanwhile(RATE) as load:
            begun = load.now()
            wait_until(lambda: load.now() > begun + calm_seconds)
            comes = load.now()
            for _ in range(times):
                big.live_a_life()
            gone = load.now()
    before = server.by_model(load.outcome.between(begun, comes), RATE)
    meanwhile = server.by_model(load.outcome.between(comes, gone), RATE)
    p99 = {model: (before[model].latency(99), meanwhile[model].latency(99)) for model in WORDS}
    told = "; ".join(
        f"p99 of {WORDS[model]} {milliseconds(now)}, before {milliseconds(calm)}" for model, (calm, now) in p99.items()
    )
    figures.add(
        f"a model of {mib} MiB is loaded, replaced and unloaded, ×{times} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(gone - begun)),
        f"{in_words(load.outcome)}; {told}; each time took {(gone - comes) / times:.1f} s",
        must_hold="0 failed requests; p99 of other models ≤ 2 × that before",
    )
    assert set(load.outcome.statuses()) == {200}
    if full:
        assert all(now <= 2 * calm for calm, now in p99.values())
