"""One bound for every wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import DeadlineExceeded
from secure_ml_api.inference.deadline import Deadline


def test_a_deadline_ahead_lets_work_go_on() -> None:
    Deadline.after(60).check()
    assert 0 < Deadline.after(60).remaining_seconds() <= 60


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_deadline_that_passed_stops_work(seconds: float) -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline.after(seconds).check()


@given(st.floats(0, 1e300) | st.none())
def test_a_caller_can_shorten_a_deadline_and_never_lengthen_it(seconds: float | None) -> None:
    deadline = Deadline.after(60)
    sooner = deadline.sooner(seconds)
    assert sooner.at <= deadline.at
    if seconds is None or seconds > 61:
        assert sooner == deadline
    elif seconds < 59:
        assert sooner.at < deadline.at


def test_a_shortened_deadline_counts_from_now() -> None:
    assert Deadline.after(3600).sooner(10).remaining_seconds() == pytest.approx(10, abs=5)
