"""One bound for every wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import DeadlineExceeded, MalformedHeader
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


@pytest.mark.parametrize(
    ("timeout", "at"), [("", 100.0), ("5", 15.0), ("0.25", 10.25), ("0", 10.0), ("999999999", 100.0)]
)
def test_the_time_that_a_caller_waits_counts_from_the_first_byte_and_only_shortens(timeout: str, at: float) -> None:
    assert Deadline(100.0).within(timeout, arrived_at=10.0).at == at


@pytest.mark.parametrize("timeout", ["soon", "-1", "1s", "1e3", "nan", "inf", ".5", "1.", " 1", "1,2", "٣", "9" * 10])
def test_a_time_to_wait_that_is_no_plain_number_is_refused(timeout: str) -> None:
    with pytest.raises(MalformedHeader):
        Deadline(100.0).within(timeout, arrived_at=10.0)
