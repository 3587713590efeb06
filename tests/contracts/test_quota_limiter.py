"""What every store of counters promises: LMDB, a real Redis, and memory under one limiter."""

from __future__ import annotations

import pytest

from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.standings import Charge, Standing
from support.quota_backends import Backend


def test_a_charge_says_what_is_left_and_for_how_long(backend: Backend, subject: str) -> None:
    standings = backend.limiter.charge(subject, [Charge("requests", "600/minute"), Charge("rows", "1000/hour", 30)])
    assert standings == (Standing("requests", 600, 60, 599, 60), Standing("rows", 1000, 3600, 970, 3600))


def test_costs_add_up_to_the_limit_and_no_further(backend: Backend, subject: str) -> None:
    for cost in (4, 3, 3):
        backend.limiter.charge(subject, [Charge("rows", "10/minute", cost)])
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("rows", "10/minute", 1)])


def test_a_refused_request_takes_nothing_from_any_quota(backend: Backend, subject: str) -> None:
    both = [Charge("requests", "5/minute"), Charge("rows", "10/minute", 8)]
    backend.limiter.charge(subject, both)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, both)
    assert [standing.remaining for standing in refusal.value.standings] == [4, 2]
    assert refusal.value.violated == ("rows",)
    looked = backend.limiter.peek(subject, [Charge("requests", "5/minute", 0), Charge("rows", "10/minute", 0)])
    assert [standing.remaining for standing in looked] == [4, 2]


def test_peeking_takes_nothing_and_refuses_what_a_charge_would_be_refused(backend: Backend, subject: str) -> None:
    one = [Charge("failed_authentications", "2/minute")]
    for _ in range(5):
        assert backend.limiter.peek(subject, one)[0].remaining == 2
    backend.limiter.charge(subject, one)
    backend.limiter.charge(subject, one)
    with pytest.raises(QuotaExceeded):
        backend.limiter.peek(subject, one)


def test_a_charge_of_nothing_is_admitted_when_the_quota_is_used_up(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("rows", "3/minute", 3)])
    assert backend.limiter.charge(subject, [Charge("rows", "3/minute", 0)])[0].remaining == 0


def test_more_than_a_window_holds_is_refused_for_ever(backend: Backend, subject: str) -> None:
    with pytest.raises(QuotaExceeded, match="1000 rows per minute") as refusal:
        backend.limiter.charge(subject, [Charge("requests", "5/minute"), Charge("rows", "1000/minute", 1001)])
    assert refusal.value.never
    assert refusal.value.violated == ("rows",)
    assert backend.limiter.charge(subject, [Charge("requests", "5/minute")])[0].remaining == 4


def test_whoever_waits_as_told_is_admitted_and_a_second_less_is_too_short(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.pass_time(17.1)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    wait = refusal.value.retry_after_seconds
    assert wait == 43
    backend.pass_time(wait - 1)
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.pass_time(1)
    assert backend.limiter.charge(subject, [Charge("requests", "1/minute")]) == (Standing("requests", 1, 60, 0, 60),)


def test_the_wait_is_that_of_the_quota_that_is_free_last(backend: Backend, subject: str) -> None:
    both = [Charge("requests", "1/minute"), Charge("rows", "1/hour")]
    backend.limiter.charge(subject, both)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, both)
    assert refusal.value.retry_after_seconds == 3600
    assert refusal.value.violated == ("requests", "rows")


def test_subjects_and_quotas_do_not_share(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.limiter.charge(subject, [Charge("rows", "1/minute")])
    backend.limiter.charge(subject + "x", [Charge("requests", "1/minute")])


@pytest.mark.parametrize("odd", ["x" * 5000, "ключ", "\ud800", "", "a/b/../c", "new\nline", "nul\0"])
def test_no_subject_is_too_odd_to_be_counted(backend: Backend, odd: str) -> None:
    named = odd + "x" * len(backend.url)
    backend.limiter.charge(named, [Charge("requests", "1/day")])
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(named, [Charge("requests", "1/day")])


def test_one_quota_twice_or_a_negative_cost_is_a_mistake_of_the_caller(backend: Backend, subject: str) -> None:
    with pytest.raises(ValueError, match="once"):
        backend.limiter.charge(subject, [Charge("rows", "9/minute"), Charge("rows", "9/minute")])
    with pytest.raises(ValueError, match="negative"):
        backend.limiter.charge(subject, [Charge("rows", "9/minute", -1)])
