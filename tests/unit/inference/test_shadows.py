"""Shadows, which nobody hears: how their answers compare is counted, and no caller waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from secure_ml_api.inference.shadows import Shadows
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.tensors import Tensors
from support.server import wait_until
from support.trials import serving, three_versions

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
    return three_versions(tmp_path)


def compared(metrics: Metrics) -> dict[str, float]:
    """How many rows of the shadow came out how."""
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


def test_rows_of_a_shadow_are_counted_each_by_how_it_compares(store: Store, gate: Gate) -> None:
    store.set_shadow("tiny", "2")
    registry, metrics = serving(store, gate), Metrics()
    model = registry.resolve("tiny")
    inputs = {"input": np.array([[0, 0], [1, 0], [0, 1], [0, 0], [2, 3]], np.float32)}  # of nothing, both make nothing
    Shadows(registry, metrics).offer(model, inputs, model.session.run(inputs, ["value"]))
    wait_until(lambda: compared(metrics) == {"equal": 2, "different": 3})


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
