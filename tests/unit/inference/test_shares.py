"""Who asks more than others is known, for as long as it matters, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.shares import Shares


def asked(**counts: int) -> Shares:
    shares = Shares()
    for caller, count in counts.items():
        for _ in range(count):
            shares.asked(caller)
    return shares


def test_a_caller_who_is_alone_asks_for_everything() -> None:
    assert asked(one=5).is_over("one")


def test_a_caller_who_has_not_asked_is_not_over() -> None:
    assert not Shares().is_over("anyone")
    assert not asked(one=5).is_over("two")


def test_a_flood_is_over_and_the_others_are_not() -> None:
    shares = asked(flood=900, modest=50, shy=1)
    assert shares.is_over("flood")
    assert not shares.is_over("modest")
    assert not shares.is_over("shy")
    assert not shares.is_over("new")


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 40), min_size=1, max_size=8))
def test_somebody_is_always_over_and_who_asked_least_of_unequal_callers_is_not(counts: dict[str, int]) -> None:
    shares = asked(**counts)
    assert any(shares.is_over(caller) for caller in counts)
    least = min(counts, key=lambda caller: counts[caller])
    assert shares.is_over(least) is (len(set(counts.values())) == 1)


def test_what_was_asked_long_ago_is_forgotten() -> None:
    shares = asked(early=40, late=4)
    for _ in range(8):
        shares.fade()
        shares.asked("late")
    assert shares.is_over("late")
    assert not shares.is_over("early")


def test_names_without_end_do_not_fill_the_memory() -> None:
    shares = Shares()
    for number in range(5000):
        shares.asked(str(number))
    assert len(shares._asked) <= 1025


def test_all_is_forgotten_on_demand() -> None:
    shares = asked(one=5, two=1)
    shares.forget()
    assert not shares.is_over("one")
