"""A model that takes much memory in its framework comes and goes, again and again, while callers ask for others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import copied
from support.big_models import publish_heavy
from support.fault_table import Figures
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.meanwhile import RATE, Operator, OthersMeanwhile
from support.memory import workers_mib
from support.networks import ARCHITECTURE, offer_architecture
from support.packages import store_in
from support.server import RunningServer, wait_until

WORKERS = 2
# Of what a model took, the part that may be kept for what comes next.
KEPT = 0.35


class Held(NamedTuple):
    """MiB of all workers, with what they share counted once: without the model, with it, and without it again."""

    without: float
    loaded: float
    after: float

    @property
    def kept(self) -> float:
        """The part of what the model took that was not given back."""
        return (self.after - self.without) / (self.loaded - self.without)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At length: all runtimes of frameworks; otherwise the one that is quickest to make a big model of."""
    full = bool(metafunc.config.getoption("--figures"))
    metafunc.parametrize("runtime", ["sklearn", "xgboost", "lightgbm", "torch", "tensorflow"] if full else ["sklearn"])


@pytest.fixture
def server(prepared_home: Path, worker_class: str, runtime: str, tmp_path: Path) -> Iterator[Loaded]:
    """Its workers have the framework, of a small model; the big one is there and unloaded."""
    home, architectures = copied(prepared_home, tmp_path), offer_architecture(tmp_path)
    store = store_in(home)
    publish_heavy(store, runtime, name="small", is_big=False)
    publish_heavy(store, runtime, name="big", is_big=True)
    store.unload("big")
    environ = {
        **QUIETLY,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(architectures)]),
        "SECURE_ML_API_INFERENCE__ARCHITECTURES": ARCHITECTURE,
    }
    with RunningServer(home, "--workers", str(WORKERS), command=HANGING, environ=environ) as running:
        yield Loaded(running)


def test_a_big_model_of_a_framework_gives_its_memory_back_and_slows_nobody(
    server: Loaded, worker_class: str, figures: Figures, full: bool, runtime: str
) -> None:
    running, operator, others = server.running, Operator(server.running), OthersMeanwhile(server, 10 if full else 1)
    times, seen = 3 if full else 1, []

    def comes_and_goes() -> None:
        before, without = running.worker_pids(), workers_mib(running)
        operator.decide("load", "big")
        wait_until(lambda: not before & running.worker_pids(), what="no workers but those with the model")
        loaded = workers_mib(running)
        operator.decide("unload", "big")
        seen.append(Held(without, loaded, workers_mib(running)))

    others.while_(comes_and_goes, times=times)
    first, last = seen[0], seen[-1]
    figures.add(
        f"a big model of the runtime {runtime} is loaded and unloaded, ×{times} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(others.seconds)),
        f"{in_words(others.outcome)}; {others.in_words()}; the workers held {first.without:.0f} MiB, "
        f"{first.loaded:.0f} with it, {last.after:.0f} after it had gone",
        must_hold="0 failed requests; p99 of other models ≤ 2 × that before; two thirds of the memory given back",
    )
    assert all(held.kept < KEPT for held in (first, first._replace(after=last.after)))
    others.judge(full=full)
