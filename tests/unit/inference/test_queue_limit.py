"""The limit finds what a place can take, whatever that is, and comes back from both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.queue_limit import QueueLimit

TARGET = 0.005


def test_it_grows_by_one_while_as_many_as_it_says_begin_in_time() -> None:
    limit = QueueLimit(4, 100, TARGET)
    for _ in range(5):
        limit.began(0.0, 4, now=1.0)
    assert limit.limit == 5


def test_it_does_not_grow_while_it_is_not_made_use_of() -> None:
    limit = QueueLimit(8, 100, TARGET)
    for _ in range(1000):
        limit.began(0.0, 3, now=1.0)
    assert limit.limit == 8


def test_those_who_waited_in_one_queue_shrink_it_once() -> None:
    limit = QueueLimit(4, 100, TARGET)
    for _ in range(2000):
        limit.began(0.0, 100, now=1.0)
    grown = limit.limit
    for _ in range(10):
        limit.began(0.1, 100, now=2.0)
    assert limit.limit == int(grown * 0.7) or limit.limit == pytest.approx(grown * 0.7, abs=1)
    limit.began(0.1, 100, now=2.05)  # it was in the queue already when the limit shrank
    assert limit.limit == pytest.approx(grown * 0.7, abs=1)
    limit.began(0.1, 100, now=2.2)
    assert limit.limit == pytest.approx(grown * 0.49, abs=1)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500), st.floats(0, 1)), max_size=300))
def test_it_stays_within_its_bounds_whatever_comes(events: list[tuple[float, int, float]]) -> None:
    limit, now = QueueLimit(3, 50, TARGET), 0.0
    for waited, under_way, passed in events:
        now += passed
        limit.began(waited, under_way, now)
        assert 3 <= limit.limit <= 50


@pytest.mark.parametrize("capacity", [6, 20, 60])
def test_it_settles_near_what_the_place_can_take(capacity: int) -> None:
    limit, now, seen = QueueLimit(4, 200, TARGET), 0.0, []
    for _ in range(20_000):
        under_way = limit.limit  # overload: whatever it allows is made use of
        waited = max(0, under_way - capacity) * 0.002
        now += 0.001
        limit.began(waited, under_way, now)
        seen.append(limit.limit)
    settled = seen[5000:]
    assert 0.65 * capacity <= min(settled)
    assert max(settled) <= capacity + 5


def test_it_begins_anew_from_the_least() -> None:
    limit = QueueLimit(4, 100, TARGET)
    for _ in range(2000):
        limit.began(0.0, 100, now=1.0)
    limit.restart()
    assert limit.limit == 4
