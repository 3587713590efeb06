"""Who has had more than others is known, for as long as it matters, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.shares import Shares


def served(**counts: int) -> Shares:
    shares = Shares()
    for caller, count in counts.items():
        for _ in range(count):
            shares.served(caller)
    return shares


def test_a_caller_who_is_alone_has_had_everything() -> None:
    assert served(one=5).is_over("one")
    assert Shares().is_over("anyone")


def test_a_flood_is_over_and_the_others_are_not() -> None:
    shares = served(flood=900, modest=50, shy=1)
    assert shares.is_over("flood")
    assert not shares.is_over("modest")
    assert not shares.is_over("shy")
    assert not shares.is_over("new")


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 40), min_size=1, max_size=8))
def test_somebody_is_always_over_and_who_had_least_of_unequal_callers_is_not(counts: dict[str, int]) -> None:
    shares = served(**counts)
    assert any(shares.is_over(caller) for caller in counts)
    least = min(counts, key=lambda caller: counts[caller])
    assert shares.is_over(least) is (len(set(counts.values())) == 1)


def test_what_was_served_long_ago_is_forgotten() -> None:
    shares = served(early=40, late=4)
    for _ in range(8):
        shares.fade()
        shares.served("late")
    assert shares.is_over("late")
    assert not shares.is_over("early")


def test_names_without_end_do_not_fill_the_memory() -> None:
    shares = Shares()
    for number in range(5000):
        shares.served(str(number))
    assert len(shares._served) <= 1025


def test_all_is_forgotten_on_demand() -> None:
    shares = served(one=5, two=1)
    shares.forget()
    assert shares.is_over("two")
