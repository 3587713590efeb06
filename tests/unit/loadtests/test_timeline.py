"""What comes back, second by second."""

from __future__ import annotations

import json

import pytest

from loadtests.timeline import Outcome, Timeline, outcome


@pytest.mark.parametrize(
    ("status", "headers", "as_it_should_be", "became"),
    [
        (200, {}, True, Outcome.ANSWERED),
        (401, {}, True, Outcome.ANSWERED),
        (503, {"Retry-After": "1"}, False, Outcome.REFUSED),
        (429, {"retry-after": "20"}, False, Outcome.REFUSED),
        (503, {}, False, Outcome.FAILED),
        (500, {"Retry-After": "1"}, False, Outcome.FAILED),
        (504, {}, False, Outcome.FAILED),
        (200, {}, False, Outcome.FAILED),
        (0, {}, False, Outcome.LOST),
    ],
)
def test_only_429_and_503_with_retry_after_are_refusals(
    status: int, headers: dict[str, str], *, as_it_should_be: bool, became: Outcome
) -> None:
    assert outcome(status, headers, as_it_should_be=as_it_should_be) is became


def counted() -> Timeline:
    timeline = Timeline()
    timeline.count(100.2, Outcome.ANSWERED, 1.23456)
    timeline.count(100.9, Outcome.REFUSED, 0.4)
    timeline.count(101.0, Outcome.FAILED, 9.0)
    timeline.count(101.5, Outcome.LOST, 30000.0)
    return timeline


def test_requests_belong_to_the_second_in_which_they_ended() -> None:
    first, second = counted().within([100]), counted().within([101])
    assert (first.answered, first.refused, first.failed, first.lost) == (1, 1, 0, 0)
    assert (second.answered, second.refused, second.failed, second.lost) == (0, 0, 1, 1)


def test_only_answers_have_times_of_three_digits() -> None:
    assert counted().within(range(100, 102)).times_ms == {1.23: 1}


def test_lost_requests_are_failures_and_refused_ones_are_not() -> None:
    figures = counted().within(range(100, 102)).figures("row")
    assert (figures.requests, figures.failures, figures.lost, figures.refused, figures.answered) == (4, 2, 1, 1, 1)


def test_a_timeline_comes_out_of_json_as_it_went_in() -> None:
    assert Timeline.of_data(json.loads(json.dumps(counted().as_data()))) == counted()


def test_what_workers_send_adds_up_and_nothing_is_sent_twice() -> None:
    worker, whole = counted(), Timeline()
    whole.add(worker.take())
    whole.add(worker.take())
    whole.add(counted())
    assert whole.within([100]).answered == 2
    assert whole.within([100, 101]).requests == 8
