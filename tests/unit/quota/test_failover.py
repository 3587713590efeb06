"""The stand-in for a store that is away, with a store that fails when it is told to."""

from __future__ import annotations

from typing import Literal

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.quota.failover import PAUSE_SECONDS, Failover
from secure_ml_api.quota.memory_storage import MemoryStorage
from secure_ml_api.quota.windows import Verdict, Wanted


class FailingStorage(MemoryStorage):
    """Counts how often it is asked, and does not answer while ``away``."""

    away = False
    asked = 0

    def charge(self, wanted: Wanted) -> Verdict:
        self.asked += 1
        if self.away:
            raise StorageUnavailable("away")
        return super().charge(wanted)

    def purge(self) -> int:
        if self.away:
            raise StorageUnavailable("away")
        return super().purge()


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(on_error: Literal["local", "refuse"]) -> tuple[FailingStorage, Failover, Seconds]:
    store, clock = FailingStorage(), Seconds()
    return store, Failover(store, MemoryStorage(), on_error, clock), clock


def charge(failover: Failover) -> None:
    failover.run(lambda counters: counters.charge([]))


def test_while_the_store_is_away_it_is_tried_once_a_pause_and_not_by_every_request() -> None:
    store, failover, clock = failing("local")
    store.away = True
    for _ in range(50):
        charge(failover)
    assert store.asked == 1
    clock.now += PAUSE_SECONDS
    for _ in range(50):
        charge(failover)
    assert store.asked == 2


def test_the_store_counts_again_at_the_first_try_that_it_answers() -> None:
    store, failover, clock = failing("local")
    store.away = True
    charge(failover)
    store.away = False
    seen = []
    for pause in (0, PAUSE_SECONDS, 0):
        clock.now += pause
        charge(failover)
        seen.append((failover.degraded, store.asked))
    assert seen == [(True, 1), (False, 2), (False, 3)]


def test_refusing_does_not_ask_the_store_for_every_request_either() -> None:
    store, failover, _ = failing("refuse")
    store.away = True
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            charge(failover)
    assert store.asked == 1


def test_the_way_back_is_under_a_second_with_the_default_time_out() -> None:
    assert PAUSE_SECONDS + 0.25 < 1


def test_housekeeping_never_raises_and_shows_that_the_store_is_away() -> None:
    store, failover, _ = failing("refuse")
    store.away = True
    failover.purge()
    assert failover.degraded


def test_a_mistake_of_the_caller_is_not_taken_for_a_store_that_is_away() -> None:
    _, failover, _ = failing("local")
    with pytest.raises(ZeroDivisionError):
        failover.run(lambda counters: 1 // 0)
    assert not failover.degraded
