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


def watch(store: Store, gate: Gate, **rules: float) -> tuple[Registry, CanaryWatch]:
    """A worker that knows of no other."""
    canary = Canary.model_validate({"version": "2", "percent": 50.0, "minimum_requests": 10, **rules})
    store.set_canary("tiny", canary)
    registry = serving(store, gate)
    return registry, CanaryWatch(registry)


def worker(store: Store, gate: Gate, slot: int, run: Path) -> tuple[Registry, CanaryWatch]:
    """One of a machine's, which tell each other what they saw."""
    registry = serving(store, gate)
    seen = CanaryWatch(registry)
    seen.start_worker(slot, run / "canaries")
    return registry, seen


def try_out(store: Store, **rules: float) -> None:
    store.set_canary("tiny", Canary.model_validate({"version": "2", "percent": 50.0, "minimum_requests": 10, **rules}))


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


def test_what_is_asked_of_a_canary_is_asked_of_all_workers_together(store: Store, gate: Gate, tmp_path: Path) -> None:
    try_out(store, max_error_rate=0.5)
    workers = [worker(store, gate, slot, tmp_path) for slot in range(3)]
    for registry, seen in workers[:2]:
        see(registry, seen, "2", 5, failed=True)
        seen.tell()
        assert bool(reasons(seen)) is (seen is workers[1][1])
    for _, seen in workers:  # also of the one that nobody asked
        assert reasons(seen) == ["100.0% of 10 requests failed, and 50.0% may"]


def test_times_are_compared_over_all_workers(store: Store, gate: Gate, tmp_path: Path) -> None:
    try_out(store, max_latency_ratio=2)
    workers = [worker(store, gate, slot, tmp_path) for slot in range(2)]
    for version, seconds, (registry, seen) in zip("21", (0.03, 0.01), workers, strict=True):
        see(registry, seen, version, 30, seconds)
        seen.tell()
    assert [reasons(seen) for _, seen in workers] == [
        ["it takes 3.0 times as long as what serves, and 2 is allowed"]
    ] * 2


def test_canary_that_ends_and_is_set_again_between_two_looks_begins_anew_on_all_workers(
    store: Store, gate: Gate, tmp_path: Path
) -> None:
    try_out(store, max_error_rate=0.1)
    workers = [worker(store, gate, slot, tmp_path) for slot in range(2)]
    for registry, seen in workers:
        see(registry, seen, "2", 50, failed=True)
        seen.tell()
    store.set_canary("tiny", None)
    try_out(store, max_error_rate=0.1)
    for registry, seen in workers:
        registry.refresh(["tiny"])
        assert reasons(seen) == []
        see(registry, seen, "2", 5)
        seen.tell()
        assert reasons(seen) == []


def test_requests_of_a_worker_that_died_count_until_the_trial_ends(store: Store, gate: Gate, tmp_path: Path) -> None:
    try_out(store, max_error_rate=0.1)
    for slot in (0, 1):  # of which only one comes back
        registry, seen = worker(store, gate, slot, tmp_path)
        see(registry, seen, "2", 4, failed=True)
        seen.tell()
    registry, seen = worker(store, gate, 1, tmp_path)
    assert reasons(seen) == []
    see(registry, seen, "2", 2, failed=True)
    seen.tell()
    for slot in (1, 2):
        assert reasons(worker(store, gate, slot, tmp_path)[1]) == ["100.0% of 10 requests failed, and 10.0% may"]


def test_times_beside_what_another_version_serves_are_not_added_up(store: Store, gate: Gate, tmp_path: Path) -> None:
    try_out(store, max_latency_ratio=2)
    before, seen_before = worker(store, gate, 0, tmp_path)
    see(before, seen_before, "1", 100, 0.001)
    seen_before.tell()
    store.promote("tiny", "3")
    registry, seen = worker(store, gate, 1, tmp_path)
    see(registry, seen, "3", 20, 0.02)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []


def test_worker_that_cannot_tell_the_others_judges_by_its_own_requests(
    store: Store, gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "canaries").write_text("no folder")
    try_out(store, max_error_rate=0.1)
    workers = [worker(store, gate, slot, tmp_path) for slot in range(2)]
    for registry, seen in workers:
        see(registry, seen, "2", 10, failed=True)
        seen.tell()
        assert reasons(seen) == ["100.0% of 10 requests failed, and 10.0% may"]
    (tmp_path / "canaries").unlink()
    for _, seen in workers:
        seen.tell()
    assert {reason for _, seen in workers for reason in reasons(seen)} == {
        "100.0% of 20 requests failed, and 10.0% may"
    }


@pytest.mark.parametrize(
    "spoiled", [b"", b"{", b"[]", b'[["tiny"]]', b'[["tiny", "2", "", "", [-1, 0, 0], [0, 0, 0]]]', b"\xff", b"[[NaN]]"]
)
def test_spoiled_file_says_nothing_and_stops_nobody(store: Store, gate: Gate, tmp_path: Path, spoiled: bytes) -> None:
    (tmp_path / "canaries").mkdir()
    for name in ("0", "1", "1x"):
        (tmp_path / "canaries" / name).write_bytes(spoiled)
    try_out(store, max_error_rate=0.1)
    registry, seen = worker(store, gate, 0, tmp_path)
    see(registry, seen, "2", 10, failed=True)
    seen.tell()
    assert reasons(seen) == ["100.0% of 10 requests failed, and 10.0% may"]


def test_canary_without_bounds_writes_nothing(store: Store, gate: Gate, tmp_path: Path) -> None:
    try_out(store)
    registry, seen = worker(store, gate, 0, tmp_path)
    see(registry, seen, "2", 10, failed=True)
    seen.tell()
    assert not (tmp_path / "canaries").exists()


def test_shelf_that_is_replaced_for_another_model_loses_no_counts(store: Store, gate: Gate) -> None:
    registry, seen = watch(store, gate, max_error_rate=0.1)
    see(registry, seen, "2", 5, failed=True)
    registry.refresh(["tiny"])
    see(registry, seen, "2", 5, failed=True)
    assert len(reasons(seen)) == 1
