"""Requests that are admitted together are admitted as one after the other would be, at the cost of one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.errors import QuotaExceeded, StorageUnavailable
from secure_ml_api.quota.limiter import Asked, Limiter
from secure_ml_api.quota.lmdb_storage import LmdbStorage
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.quota.standings import Charge, Standing
from secure_ml_api.setting_sections import StateSettings
from support.needs import free_port
from support.redis_server import RedisServer

_numbers = count()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def limiter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Limiter:
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    return open_limiter(StateSettings(url=url, timeout_seconds=10), QuotasSettings(), tmp_path_factory.mktemp("run"))


@pytest.fixture
def subject() -> str:
    return f"client:{next(_numbers)}"


def asked(subject: str, rows: int = 1, places: int = 1) -> Asked:
    return Asked(subject, (Charge("requests", "5/hour", 1), Charge("rows", "12/hour", rows)), places)


def one_by_one(limiter: Limiter, requests: list[Asked]) -> list[tuple[Standing, ...] | str]:
    answers: list[tuple[Standing, ...] | str] = []
    for request in requests:
        try:
            standings, lease = limiter.admit(*request)
        except QuotaExceeded as refusal:
            answers.append(told(refusal))
        else:
            lease.release()
            answers.append(standings)
    return answers


def together(limiter: Limiter, requests: list[Asked]) -> list[tuple[Standing, ...] | str]:
    admitted = limiter.admit_each(requests)
    assert admitted is not None
    answers: list[tuple[Standing, ...] | str] = []
    for answer in admitted:
        if isinstance(answer, QuotaExceeded):
            answers.append(told(answer))
        else:
            answers.append(answer[0])
            if answer[1] is not None:
                answer[1].release()
    return answers


def told(refusal: QuotaExceeded) -> str:
    return f"{refusal.detail} {refusal.violated} {refusal.never} {[each.remaining for each in refusal.standings]}"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(costs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 14)), max_size=12))
def test_all_are_told_what_they_would_be_told_one_after_the_other(
    limiter: Limiter, costs: list[tuple[int, int]]
) -> None:
    ours, theirs = ([f"client:{next(_numbers)}" for _ in range(2)] for _ in range(2))
    answers = together(limiter, [asked(ours[who], rows) for who, rows in costs])
    assert answers == one_by_one(limiter, [asked(theirs[who], rows) for who, rows in costs])
    nothing = (Charge("requests", "5/hour", 0), Charge("rows", "12/hour", 0))
    for mine, other in zip(ours, theirs, strict=True):
        left = [[each.remaining for each in limiter.peek(name, nothing)] for name in (mine, other)]
        assert left[0] == left[1]


def test_they_are_one_request_in_flight_of_each_client_until_the_last_is_answered(
    limiter: Limiter, subject: str
) -> None:
    admitted = limiter.admit_each([asked(subject), asked(subject), asked(subject + "x"), asked(subject)])
    assert admitted is not None
    leases = [answer[1] for answer in admitted if not isinstance(answer, QuotaExceeded)]
    assert [lease is not None for lease in leases] == [True, False, True, False]
    with pytest.raises(QuotaExceeded):
        limiter.enter(subject, 1)
    for lease in leases:
        if lease is not None:
            lease.release()
    limiter.enter(subject, 1).release()


def test_a_client_without_a_place_is_refused_and_not_charged_and_others_are_admitted(
    limiter: Limiter, subject: str
) -> None:
    with limiter.enter(subject, 1):
        admitted = limiter.admit_each([asked(subject), asked(subject + "x"), asked(subject)])
    assert admitted is not None
    assert [isinstance(answer, QuotaExceeded) for answer in admitted] == [True, False, True]
    assert limiter.peek(subject, (Charge("requests", "5/hour", 0),))[0].remaining == 5


def test_a_client_of_whom_nothing_is_admitted_keeps_no_place(limiter: Limiter, subject: str) -> None:
    limiter.admit_each([asked(subject, rows=13), asked(subject, rows=13)])
    limiter.enter(subject, 1).release()


@pytest.mark.parametrize("limiter", ["lmdb"], indirect=True)
def test_when_the_transaction_fails_nothing_is_done_and_each_is_asked_alone(
    limiter: Limiter, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageUnavailable("no more pages")

    monkeypatch.setattr(LmdbStorage, "charge_each_within", fails)
    assert limiter.admit_each([asked(subject), asked(subject)]) is None
    limiter.enter(subject, 1).release()
    assert limiter.peek(subject, (Charge("requests", "5/hour", 0),))[0].remaining == 5


def test_places_that_are_counted_in_one_process_alone_are_taken_one_by_one(tmp_path: Path, subject: str) -> None:
    in_memory = open_limiter(StateSettings(url="memory://"), QuotasSettings(), tmp_path)
    assert in_memory.admit_each([asked(subject), asked(subject)]) is None


def test_all_of_them_are_charged_in_one_round_trip(redis_server: RedisServer, tmp_path: Path, subject: str) -> None:
    limiter = open_limiter(StateSettings(url=redis_server.url, timeout_seconds=10), QuotasSettings(), tmp_path)
    limiter.admit_each([asked(subject)])
    before = redis_server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    limiter.admit_each([asked(f"{subject}-{number}") for number in range(16)])
    assert redis_server.client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


def test_a_store_elsewhere_that_is_away_leaves_no_place_taken_and_each_is_asked_alone(
    tmp_path: Path, subject: str
) -> None:
    nowhere = StateSettings(url=f"redis://127.0.0.1:{free_port()}/0")
    limiter = open_limiter(nowhere, QuotasSettings(on_storage_error="refuse"), tmp_path)
    assert limiter.admit_each([asked(subject), asked(subject)]) is None
    limiter.enter(subject, 1).release()


def test_while_a_store_elsewhere_is_away_its_stand_in_is_charged_for_each(tmp_path: Path, subject: str) -> None:
    nowhere = StateSettings(url=f"redis://127.0.0.1:{free_port()}/0")
    limiter = open_limiter(nowhere, QuotasSettings(on_storage_error="local"), tmp_path)
    assert len([told for told in together(limiter, [asked(subject)] * 7) if not isinstance(told, str)]) == 5


@pytest.fixture
def elsewhere(redis_server: RedisServer, tmp_path: Path) -> Limiter:
    return open_limiter(StateSettings(url=redis_server.url, timeout_seconds=10), QuotasSettings(), tmp_path)


def test_those_who_wait_apart_are_charged_in_one_round_trip_and_have_a_place_each(
    elsewhere: Limiter, redis_server: RedisServer, subject: str
) -> None:
    elsewhere.admit_apart([asked(subject + "x")])
    before = redis_server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    admitted = elsewhere.admit_apart([asked(subject, places=2)] * 3)
    assert redis_server.client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    assert admitted is not None
    first, second, third = admitted
    assert isinstance(third, QuotaExceeded)
    assert not isinstance(first, QuotaExceeded)
    assert not isinstance(second, QuotaExceeded)
    assert [first[0][0].remaining, second[0][0].remaining] == [4, 3]
    with pytest.raises(QuotaExceeded):
        elsewhere.enter(subject, 2)
    for _, lease in (first, second):
        assert lease is not None
        lease.release()
    elsewhere.enter(subject, 1).release()


def test_of_those_who_wait_apart_who_is_over_its_quota_keeps_no_place(elsewhere: Limiter, subject: str) -> None:
    admitted = elsewhere.admit_apart([asked(subject, rows=13, places=9)] * 3)
    assert admitted is not None
    assert all(isinstance(answer, QuotaExceeded) for answer in admitted)
    elsewhere.enter(subject, 1).release()


def test_those_who_wait_apart_while_the_store_is_away_keep_no_place_and_are_asked_alone(
    tmp_path: Path, subject: str
) -> None:
    nowhere = StateSettings(url=f"redis://127.0.0.1:{free_port()}/0")
    limiter = open_limiter(nowhere, QuotasSettings(on_storage_error="refuse"), tmp_path)
    assert limiter.admit_apart([asked(subject), asked(subject)]) is None
    limiter.enter(subject, 1).release()


@pytest.mark.parametrize("limiter", ["lmdb"], indirect=True)
def test_in_the_shared_state_those_who_wait_apart_are_charged_one_by_one(limiter: Limiter, subject: str) -> None:
    assert limiter.admit_apart([asked(subject)]) is None
