"""Canaries that are taken back, by what the workers of a machine tell each other of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.inference.canary_watch import CanaryWatch
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from support.trials import reasons, see, serving, three_versions, try_out


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return three_versions(tmp_path)


def worker(store: Store, slot: int, run: Path) -> tuple[Registry, CanaryWatch]:
    """One of a machine's, which tell each other what they saw."""
    registry = serving(store)
    seen = CanaryWatch(registry)
    seen.start_worker(slot, run / "canaries")
    return registry, seen


def test_what_is_asked_of_a_canary_is_asked_of_all_workers_together(store: Store, tmp_path: Path) -> None:
    try_out(store, max_error_rate=0.5)
    workers = [worker(store, slot, tmp_path) for slot in range(3)]
    for registry, seen in workers[:2]:
        see(registry, seen, "2", 5, failed=True)
        seen.tell()
        assert bool(reasons(seen)) is (seen is workers[1][1])
    for _, seen in workers:  # also of the one that nobody asked
        assert reasons(seen) == ["100.0% of 10 requests failed, and 50.0% may"]


def test_times_are_compared_over_all_workers(store: Store, tmp_path: Path) -> None:
    try_out(store, max_latency_ratio=2)
    workers = [worker(store, slot, tmp_path) for slot in range(2)]
    for version, seconds, (registry, seen) in zip("21", (0.03, 0.01), workers, strict=True):
        see(registry, seen, version, 30, seconds)
        seen.tell()
    assert [reasons(seen) for _, seen in workers] == [
        ["it takes 3.0 times as long as what serves, and 2 is allowed"]
    ] * 2


def test_canary_that_ends_and_is_set_again_between_two_looks_begins_anew_on_all_workers(
    store: Store, tmp_path: Path
) -> None:
    try_out(store, max_error_rate=0.1)
    workers = [worker(store, slot, tmp_path) for slot in range(2)]
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


def test_requests_of_a_worker_that_died_count_until_the_trial_ends(store: Store, tmp_path: Path) -> None:
    try_out(store, max_error_rate=0.1)
    for slot in (0, 1):  # of which only one comes back
        registry, seen = worker(store, slot, tmp_path)
        see(registry, seen, "2", 4, failed=True)
        seen.tell()
    registry, seen = worker(store, 1, tmp_path)
    assert reasons(seen) == []
    see(registry, seen, "2", 2, failed=True)
    seen.tell()
    for slot in (1, 2):
        assert reasons(worker(store, slot, tmp_path)[1]) == ["100.0% of 10 requests failed, and 10.0% may"]


def test_times_beside_what_another_version_serves_are_not_added_up(store: Store, tmp_path: Path) -> None:
    try_out(store, max_latency_ratio=2)
    before, seen_before = worker(store, 0, tmp_path)
    see(before, seen_before, "1", 100, 0.001)
    seen_before.tell()
    store.promote("tiny", "3")
    registry, seen = worker(store, 1, tmp_path)
    see(registry, seen, "3", 20, 0.02)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []


def test_worker_that_cannot_tell_the_others_judges_by_its_own_requests(store: Store, tmp_path: Path) -> None:
    (tmp_path / "canaries").write_text("no folder")
    try_out(store, max_error_rate=0.1)
    workers = [worker(store, slot, tmp_path) for slot in range(2)]
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
def test_spoiled_file_says_nothing_and_stops_nobody(store: Store, tmp_path: Path, spoiled: bytes) -> None:
    (tmp_path / "canaries").mkdir()
    for name in ("0", "1", "1x"):
        (tmp_path / "canaries" / name).write_bytes(spoiled)
    try_out(store, max_error_rate=0.1)
    registry, seen = worker(store, 0, tmp_path)
    see(registry, seen, "2", 10, failed=True)
    seen.tell()
    assert reasons(seen) == ["100.0% of 10 requests failed, and 10.0% may"]


def test_canary_without_bounds_writes_nothing(store: Store, tmp_path: Path) -> None:
    try_out(store)
    registry, seen = worker(store, 0, tmp_path)
    see(registry, seen, "2", 10, failed=True)
    seen.tell()
    assert not (tmp_path / "canaries").exists()
