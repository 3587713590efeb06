"""Who asks far less than others is known, for as long as it matters, in bounded memory."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.shares import Shares


def asked(**counts: int) -> Shares:
    shares = Shares()
    for caller, count in counts.items():
        for _ in range(count):
            shares.asked(caller)
    return shares


def test_a_caller_who_is_alone_is_not_modest() -> None:
    assert not asked(one=5).is_modest("one")


def test_who_has_not_asked_is_unknown_and_not_modest() -> None:
    assert not Shares().is_modest("anyone")
    assert not asked(one=50).is_modest("two")


def test_those_beside_a_flood_are_modest() -> None:
    shares = asked(flood=900, modest=50, shy=1)
    assert not shares.is_modest("flood")
    assert shares.is_modest("modest")
    assert shares.is_modest("shy")


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 40), min_size=1, max_size=8))
def test_who_asks_most_is_never_modest_and_neither_is_anyone_among_equals(counts: dict[str, int]) -> None:
    shares = asked(**counts)
    assert not shares.is_modest(max(counts, key=lambda caller: counts[caller]))
    if len(set(counts.values())) == 1:
        assert not any(shares.is_modest(caller) for caller in counts)


def test_of_many_who_ask_alike_now_and_then_hardly_anyone_counts_as_modest() -> None:
    chance, shares = Random(7), Shares()
    callers = [str(number) for number in range(100)]
    for caller in callers + chance.choices(callers, k=1900):
        shares.asked(caller)
    assert sum(shares.is_modest(caller) for caller in callers) <= 5


def test_what_was_asked_long_ago_is_forgotten() -> None:
    shares = asked(early=400, late=4)
    assert shares.is_modest("late")
    for _ in range(8):
        shares.fade()
        shares.asked("late")
    assert not shares.is_modest("late")


def test_names_without_end_do_not_fill_the_memory() -> None:
    shares = Shares()
    for number in range(5000):
        shares.asked(str(number))
    assert len(shares._asked) <= 1025


def test_all_is_forgotten_on_demand() -> None:
    shares = asked(one=5, two=1)
    shares.forget()
    assert not shares.is_modest("two")
