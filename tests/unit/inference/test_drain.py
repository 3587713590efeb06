"""When a caller had better come back, from how much is served and how much is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.drain import LONGEST_WAIT_SECONDS, Drain

counts = st.integers(0, 10**6)


def second(served: int, refused: int, seconds: float = 1.0) -> Drain:
    drain = Drain(100.0)
    drain.served, drain.refused = served, refused
    assert drain.roll(100.0 + seconds)
    return drain


def test_whoever_comes_back_finds_those_served_who_were_refused_in_a_second() -> None:
    assert second(served=100, refused=300).retry_after_seconds() == 3
    assert second(served=100, refused=300).retry_after_seconds(waiting=150) == 5


def test_nobody_is_told_to_come_back_at_once_or_never() -> None:
    assert second(served=100, refused=1).retry_after_seconds() == 1
    assert second(served=1, refused=10_000).retry_after_seconds() == LONGEST_WAIT_SECONDS
    assert second(served=0, refused=10_000).retry_after_seconds() == 1


@given(counts, counts, counts)
def test_the_answer_is_a_whole_number_of_seconds_within_its_bounds(served: int, refused: int, waiting: int) -> None:
    seconds = second(served, refused).retry_after_seconds(waiting)
    assert isinstance(seconds, int)
    assert 1 <= seconds <= LONGEST_WAIT_SECONDS


@given(counts, counts, counts)
def test_more_refusals_never_shorten_the_wait(served: int, refused: int, more: int) -> None:
    assert second(served, refused + more).retry_after_seconds() >= second(served, refused).retry_after_seconds()


def test_what_happens_in_the_running_second_counts_when_it_is_more() -> None:
    drain = second(served=100, refused=0)
    drain.refused += 200
    assert drain.retry_after_seconds() == 2


def test_a_second_ends_once_it_is_over() -> None:
    drain = Drain(0.0)
    drain.served, drain.refused = 30, 10
    assert not drain.roll(0.9)
    assert drain.refused_share == 0.0
    assert drain.roll(1.0)
    assert drain.refused_share == 0.25
    assert (drain.served, drain.refused) == (0, 0)


def test_after_a_pause_the_counts_are_those_of_an_average_second() -> None:
    assert second(served=40, refused=120, seconds=4.0).retry_after_seconds() == 3
