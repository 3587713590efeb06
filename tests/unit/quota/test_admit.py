"""A request's place and its charges are one step, and a quota that is known to be used up is refused from memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.limiter import Limiter
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.quota.standings import Charge
from secure_ml_api.setting_sections import StateSettings

REQUESTS = Charge("requests", "3/hour", 1)


def rows(cost: int) -> Charge:
    return Charge("rows", "10/hour", cost)


@pytest.fixture(params=["", "memory://"], ids=["shared state", "memory"])
def limiter(request: pytest.FixtureRequest, tmp_path: Path) -> Limiter:
    return open_limiter(StateSettings(url=request.param), QuotasSettings(), tmp_path)


def test_a_place_and_all_charges_are_taken_together(limiter: Limiter) -> None:
    standings, lease = limiter.admit("a", (REQUESTS, rows(4)), 1)
    assert [(standing.name, standing.remaining) for standing in standings] == [("requests", 2), ("rows", 6)]
    with pytest.raises(QuotaExceeded):
        limiter.enter("a", 1)
    lease.release()
    limiter.enter("a", 1).release()


def test_without_a_place_nothing_is_charged(limiter: Limiter) -> None:
    with limiter.enter("a", 1), pytest.raises(QuotaExceeded):
        limiter.admit("a", (REQUESTS, rows(4)), 1)
    assert limiter.peek("a", (REQUESTS,))[0].remaining == 3


def test_when_one_charge_does_not_fit_nothing_is_charged_and_no_place_is_taken(limiter: Limiter) -> None:
    with pytest.raises(QuotaExceeded) as caught:
        limiter.admit("a", (REQUESTS, rows(11)), 1)
    assert caught.value.never
    assert [standing.remaining for standing in caught.value.standings] == [3, 10]
    limiter.enter("a", 1).release()


def used_up(limiter: Limiter) -> None:
    for _ in range(3):
        limiter.admit("a", (REQUESTS, rows(1)), 5)[1].release()
    with pytest.raises(QuotaExceeded):
        limiter.admit("a", (REQUESTS, rows(1)), 5)


def test_a_used_up_quota_is_known_and_others_are_not(limiter: Limiter) -> None:
    limiter.check("a", REQUESTS)
    used_up(limiter)
    with pytest.raises(QuotaExceeded) as caught:
        limiter.check("a", REQUESTS)
    assert 3590 <= caught.value.retry_after_seconds <= 3600
    assert [(standing.limit, standing.remaining) for standing in caught.value.standings] == [(3, 0)]
    limiter.check("b", REQUESTS)
    limiter.check("a", Charge("requests", "4/hour", 1))


def test_a_quota_that_only_lacks_room_for_much_is_not_known_to_be_used_up(limiter: Limiter) -> None:
    limiter.charge("a", (rows(8),))
    with pytest.raises(QuotaExceeded):
        limiter.charge("a", (rows(3),))
    limiter.check("a", rows(1))


def test_knowledge_ends_with_the_window(limiter: Limiter, monkeypatch: pytest.MonkeyPatch) -> None:
    used_up(limiter)
    clock: Callable[[], int] = limiter._used_up._clock
    monkeypatch.setattr(limiter._used_up, "_clock", lambda: clock() + 3601 * 10**9)
    limiter.check("a", REQUESTS)
    limiter._used_up.purge()
    assert not limiter._used_up._ends


def test_a_worker_keeps_a_few_places_for_a_subject_with_many_and_gives_them_back(tmp_path: Path) -> None:
    limiter = open_limiter(StateSettings(), QuotasSettings(), tmp_path)
    for _ in range(5):
        limiter.admit("a", (Charge("requests", "100/hour", 1),), 32)[1].release()
    places = limiter._in_flight
    assert places._kept == {"a": 1}
    leases = [limiter.enter("a", 32) for _ in range(32)]
    with pytest.raises(QuotaExceeded):
        limiter.enter("a", 32)
    for lease in leases:
        lease.release()
    assert places._kept == {"a": 2}
    limiter.housekeep()
    assert not places._kept
    assert not places._mine
