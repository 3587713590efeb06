"""Canaries that are taken back, by what one worker has seen of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.inference.canary_watch import CanaryWatch
from secure_ml_api.models.life import Canary
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from support.trials import reasons, see, serving, three_versions, try_out


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return three_versions(tmp_path)


def watch(store: Store, **rules: float) -> tuple[Registry, CanaryWatch]:
    """A worker that knows of no other."""
    try_out(store, **rules)
    registry = serving(store)
    return registry, CanaryWatch(registry)


def test_canary_that_fails_more_than_it_may_is_to_be_taken_back(store: Store) -> None:
    registry, seen = watch(store, max_error_rate=0.1)
    see(registry, seen, "2", 9, failed=True)
    assert reasons(seen) == []  # so few say nothing
    see(registry, seen, "2", 1)
    assert reasons(seen) == ["90.0% of 10 requests failed, and 10.0% may"]


def test_canary_that_takes_longer_than_it_may_is_to_be_taken_back(store: Store) -> None:
    registry, seen = watch(store, max_latency_ratio=2)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []  # beside nothing
    see(registry, seen, "1", 20, 0.01)
    assert reasons(seen) == ["it takes 3.0 times as long as what serves, and 2 is allowed"]


def test_canary_within_its_bounds_or_without_any_stays(store: Store) -> None:
    registry, seen = watch(store, max_error_rate=0.5, max_latency_ratio=5)
    for version in ("1", "2"):
        see(registry, seen, version, 100)
    see(registry, seen, "2", 20, failed=True)
    assert reasons(seen) == []
    registry, seen = watch(store)
    see(registry, seen, "2", 100, failed=True)
    assert reasons(seen) == []


def test_counts_of_a_canary_that_was_replaced_are_not_held_against_the_next(store: Store) -> None:
    registry, seen = watch(store, max_error_rate=0.1)
    see(registry, seen, "2", 50, failed=True)
    store.set_canary("tiny", Canary(version="3", percent=50, max_error_rate=0.1, minimum_requests=10))
    registry.refresh(["tiny"])
    see(registry, seen, "3", 50)
    assert reasons(seen) == []


def test_canary_that_was_taken_back_and_is_tried_again_begins_anew(store: Store) -> None:
    registry, seen = watch(store, max_error_rate=0.1)
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


def test_canary_is_compared_with_what_serves_now_and_not_with_what_served_before(store: Store) -> None:
    registry, seen = watch(store, max_latency_ratio=2)
    see(registry, seen, "1", 100, 0.001)
    store.promote("tiny", "3")
    registry.refresh(["tiny"])
    see(registry, seen, "3", 20, 0.02)
    see(registry, seen, "2", 100, 0.03)
    assert reasons(seen) == []


def test_shelf_that_is_replaced_for_another_model_loses_no_counts(store: Store) -> None:
    registry, seen = watch(store, max_error_rate=0.1)
    see(registry, seen, "2", 5, failed=True)
    registry.refresh(["tiny"])
    see(registry, seen, "2", 5, failed=True)
    assert len(reasons(seen)) == 1
