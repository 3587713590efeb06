"""Strict while more is asked than can be served, generous again soon after."""

from __future__ import annotations

from secure_ml_api.inference.overload import PROBE_SECONDS, Overload


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def passes(overload: Overload, clock: Clock, *, seconds: int, served: int, refused: int) -> None:
    """So many seconds, each with so many served and refused."""
    for _ in range(seconds):
        overload.drain.served += served
        for _ in range(refused):
            overload.refused()
        clock.now += 1.0
        overload.look()


def overloaded() -> tuple[Overload, Clock]:
    clock = Clock()
    overload = Overload(clock)
    overload.has_no_room()
    return overload, clock


def test_it_is_generous_until_a_bound_is_met() -> None:
    overload = Overload(Clock())
    assert not overload.is_strict
    overload.has_no_room()
    assert overload.is_strict


def test_it_stays_strict_while_many_are_refused() -> None:
    overload, clock = overloaded()
    passes(overload, clock, seconds=20, served=100, refused=100)
    assert overload.is_strict


def test_it_is_over_with_a_second_in_which_all_fit() -> None:
    overload, clock = overloaded()
    passes(overload, clock, seconds=5, served=100, refused=900)
    passes(overload, clock, seconds=1, served=80, refused=0)
    assert not overload.is_strict


def test_a_few_refusals_of_a_burst_do_not_keep_it_strict() -> None:
    overload, clock = overloaded()
    passes(overload, clock, seconds=1, served=80, refused=5)
    assert not overload.is_strict


def test_it_is_over_when_nobody_asks_any_more() -> None:
    overload, clock = overloaded()
    passes(overload, clock, seconds=3, served=100, refused=900)
    passes(overload, clock, seconds=1, served=0, refused=0)
    assert not overload.is_strict


def test_it_does_not_end_within_the_second_in_which_it_began() -> None:
    overload, clock = overloaded()
    clock.now += 0.5
    overload.look()
    assert overload.is_strict


def test_overload_that_does_not_end_is_tried_once_in_a_while() -> None:
    overload, clock = overloaded()
    passes(overload, clock, seconds=int(PROBE_SECONDS) - 1, served=100, refused=900)
    assert overload.is_strict
    passes(overload, clock, seconds=1, served=100, refused=900)
    assert not overload.is_strict


def test_what_was_asked_before_does_not_count_against_a_caller() -> None:
    overload = Overload(Clock())
    overload.shares.asked("early")
    for _ in range(9):
        overload.shares.asked("other")
    overload.has_no_room()
    overload.shares.asked("other")
    overload.shares.asked("other")
    assert not overload.shares.is_modest("early")
