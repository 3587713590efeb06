"""Canaries that are taken back, and shadows that nobody hears."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from secure_ml_api.inference.canary_watch import CanaryWatch
from secure_ml_api.inference.shadows import Shadows
from secure_ml_api.models.life import Canary
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.tensors import Tensors
from support.packages import publish, store_in
from support.server import wait_until

ROWS: Tensors = {"input": np.array([[1, 2]], dtype=np.float32)}


class Gate:
    """A runtime whose second version runs only while it is open, and answers as its weights say."""

    name = "onnx"
    fork_safe = True

    def __init__(self) -> None:
        self.open = Event()
        self.open.set()
        self.asked = 0

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        session = OnnxRuntime().load(artifact, threads)
        return _Gated(session, self) if artifact.version == "2" else session


class _Gated:
    def __init__(self, session: Session, gate: Gate) -> None:
        self._session, self._gate = session, gate

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        self._gate.asked += 1
        assert self._gate.open.wait(30)
        return self._session.run(inputs, outputs)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = store_in(tmp_path)
    publish(made, version="1")
    publish(made, version="2", weights=(3.0, 4.0))
    publish(made, version="3")
    made.promote("tiny", "1")
    return made


def serving(store: Store, gate: Gate) -> Registry:
    registry = Registry(store, runtimes=[gate])
    registry.load()
    registry.warm_up()
    return registry


def compared(metrics: Metrics) -> dict[str, float]:
    """How many answers of the shadow came out how."""
    families = text_string_to_metric_families(metrics.exposition()[0].decode())
    return {
        sample.labels["outcome"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "secure_ml_api_shadow_compared_total"
    }


def offer(shadows: Shadows, registry: Registry) -> None:
    model = registry.resolve("tiny")
    shadows.offer(model, ROWS, model.session.run(ROWS, ["value"]))


@pytest.mark.parametrize(("version", "outcome"), [("2", "different"), ("3", "equal")])
def test_shadow_is_compared_and_counted(store: Store, gate: Gate, version: str, outcome: str) -> None:
    store.set_shadow("tiny", version)
    registry, metrics = serving(store, gate), Metrics()
    offer(Shadows(registry, metrics), registry)
    wait_until(lambda: compared(metrics) == {outcome: 1})


def test_model_without_a_shadow_costs_nothing(store: Store, gate: Gate) -> None:
    registry, metrics = serving(store, gate), Metrics()
    shadows = Shadows(registry, metrics)
    offer(shadows, registry)
    assert not shadows._is_started
    assert compared(metrics) == {}


def test_shadow_that_hangs_delays_nobody_and_is_asked_no_more_than_it_can_take(store: Store, gate: Gate) -> None:
    store.set_shadow("tiny", "2")
    registry, metrics = serving(store, gate), Metrics()
    shadows, asked = Shadows(registry, metrics), gate.asked
    gate.open.clear()
    for _ in range(100):
        offer(shadows, registry)
    wait_until(lambda: gate.asked == asked + 1)
    assert 60 <= compared(metrics)["dropped"] <= 70
    gate.open.set()
    wait_until(lambda: sum(compared(metrics).values()) == 100)


def test_shadow_that_takes_other_inputs_is_counted_as_failed(store: Store, gate: Gate) -> None:
    store.set_shadow("tiny", "3")
    registry, metrics = serving(store, gate), Metrics()
    Shadows(registry, metrics).offer(registry.resolve("tiny"), {"other": ROWS["input"]}, {"value": np.zeros(1)})
    wait_until(lambda: compared(metrics) == {"failed": 1})


def watch(store: Store, gate: Gate, **rules: float) -> tuple[Registry, CanaryWatch]:
    canary = Canary.model_validate({"version": "2", "percent": 50.0, "minimum_requests": 10, **rules})
    store.set_canary("tiny", canary)
    registry = serving(store, gate)
    return registry, CanaryWatch(registry)


def see(registry: Registry, seen: CanaryWatch, version: str, times: int, seconds: float = 0.01, **how: bool) -> None:
    for _ in range(times):
        seen.saw(registry.resolve("tiny", version), seconds, failed=how.get("failed", False))


def reasons(seen: CanaryWatch) -> list[str]:
    return [verdict.reason for verdict in seen.verdicts()]


def test_canary_that_fails_more_than_it_may_is_to_be_taken_back(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_error_rate=0.1)
    see(registry, seen, "2", 9, failed=True)
    assert reasons(seen) == []  # so few say nothing
    see(registry, seen, "2", 1)
    assert reasons(seen) == ["90.0% of 10 requests failed, and 10.0% may"]


def test_canary_that_takes_longer_than_it_may_is_to_be_taken_back(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_latency_ratio=2)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []  # beside nothing
    see(registry, seen, "1", 20, 0.01)
    assert reasons(seen) == ["it takes 3.0 times as long as what serves, and 2 is allowed"]


def test_canary_within_its_bounds_or_without_any_stays(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_error_rate=0.5, max_latency_ratio=5)
    for version in ("1", "2"):
        see(registry, seen, version, 100)
    see(registry, seen, "2", 20, failed=True)
    assert reasons(seen) == []
    registry, seen = watch(store, gate)
    see(registry, seen, "2", 100, failed=True)
    assert reasons(seen) == []


def test_counts_of_a_canary_that_was_replaced_are_not_held_against_the_next(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_error_rate=0.1)
    see(registry, seen, "2", 50, failed=True)
    store.set_canary("tiny", Canary(version="3", percent=50, max_error_rate=0.1, minimum_requests=10))
    registry.refresh(["tiny"])
    see(registry, seen, "3", 50)
    assert reasons(seen) == []


def test_canary_that_was_taken_back_and_is_tried_again_begins_anew(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_error_rate=0.1)
    see(registry, seen, "2", 50, failed=True)
    assert len(reasons(seen)) == 1
    again = store.life("tiny").canary
    store.set_canary("tiny", None)
    registry.refresh(["tiny"])
    assert reasons(seen) == []
    store.set_canary("tiny", again)
    registry.refresh(["tiny"])
    see(registry, seen, "2", 50)
    assert reasons(seen) == []


def test_canary_is_compared_with_what_serves_now_and_not_with_what_served_before(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_latency_ratio=2)
    see(registry, seen, "1", 100, 0.001)
    store.promote("tiny", "3")
    registry.refresh(["tiny"])
    see(registry, seen, "3", 20, 0.02)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []
