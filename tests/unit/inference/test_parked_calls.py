"""Calls whose model is not quick are parked: they hold no thread, and end as they would have ended alone."""

from __future__ import annotations

import json
from queue import SimpleQueue
from threading import Event, Semaphore

import pytest

from secure_ml_api.errors import DeadlineExceeded, MalformedBody, Overloaded
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.together import arrive, walk
from secure_ml_api.models.pace import Pace
from support.side_by_side import ROWS_RUN, RUNS, counted, walked
from support.spine import Rooms

SLOW = Pace(one_seconds=1.0, many_seconds=1.1, many_rows=32, rows_are_independent=True)


@pytest.fixture
def rooms() -> Rooms:
    made = Rooms(waiting=9)
    made.registry.model.pace = SLOW
    return made


def test_a_call_whose_model_is_not_quick_is_parked_and_the_others_are_answered(rooms: Rooms) -> None:
    goes_on, over = Event(), SimpleQueue[Call]()
    rooms.session.during = lambda: assert_true(goes_on.wait(30))
    slow, bad = rooms.call(), rooms.call(b"{")
    walk([slow, bad], rooms.services(), over.put)
    assert isinstance(bad.stopped_by, MalformedBody)
    assert over.empty()
    assert [lease.released for lease in rooms.limiter.leases] == [0]  # it is in flight
    goes_on.set()
    assert over.get(timeout=30) is slow
    arrive([slow], rooms.services())
    assert json.loads(slow.answer.body)["label"] == "virginica"
    assert [lease.released for lease in rooms.limiter.leases] == [1]
    assert counted(rooms, "secure_ml_api_queue_seconds_count") == 1
    assert counted(rooms, "secure_ml_api_rows_total") == 1


def test_parked_calls_share_a_run_with_those_who_wait_in_the_line(rooms: Rooms) -> None:
    runs, goes_on, over = Semaphore(0), Event(), SimpleQueue[Call]()

    def runs_until_told() -> None:
        runs.release()
        assert goes_on.wait(30)

    rooms.session.during = runs_until_told
    calls = [rooms.call() for _ in range(5)]
    walk(calls[:1], rooms.services(), over.put)
    assert runs.acquire(timeout=30)
    walk(calls[1:], rooms.services(), over.put)
    goes_on.set()
    arrive([over.get(timeout=30) for _ in calls], rooms.services())
    assert [call.stopped_by for call in calls] == [None] * 5
    assert rooms.asked.count("run") == 2
    assert (counted(rooms, RUNS), counted(rooms, ROWS_RUN)) == (2, 5)


def test_a_parked_call_that_is_given_up_is_late_and_leaves_the_line(rooms: Rooms) -> None:
    runs, goes_on, over = Semaphore(0), Event(), SimpleQueue[Call]()

    def runs_until_told() -> None:
        runs.release()
        assert goes_on.wait(30)

    rooms.session.during = runs_until_told
    running, waiting = rooms.call(), rooms.call()
    walk([running], rooms.services(), over.put)
    assert runs.acquire(timeout=30)
    walk([waiting], rooms.services(), over.put)
    for call in (running, waiting):
        assert call.job is not None
        rooms.runner.give_up(call.job)
    arrive([running, waiting], rooms.services())
    assert [type(call.stopped_by) for call in (running, waiting)] == [DeadlineExceeded] * 2
    assert rooms.admission.waiting == 0
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="late") == 2
    goes_on.set()
    assert over.get(timeout=30) is running  # which nobody listens to any more
    assert rooms.asked.count("run") == 1


def test_a_parked_call_whose_deadline_passes_in_the_line_hears_so(rooms: Rooms) -> None:
    runs, goes_on, over = Semaphore(0), Event(), SimpleQueue[Call]()

    def runs_until_told() -> None:
        runs.release()
        assert goes_on.wait(30)

    rooms.session.during = runs_until_told
    running, late = rooms.call(), rooms.call(seconds=0.05)
    walk([running], rooms.services(), over.put)
    assert runs.acquire(timeout=30)
    walk([late], rooms.services(), over.put)
    assert late.job is not None
    late.job.deadline = Deadline.after(-1.0)
    goes_on.set()
    arrive([over.get(timeout=30), over.get(timeout=30)], rooms.services())
    assert (running.stopped_by, type(late.stopped_by)) == (None, DeadlineExceeded)


def test_a_call_that_finds_no_room_in_the_line_is_refused_at_once(rooms: Rooms) -> None:
    rooms.admission._lines._most = 0
    goes_on, over = Event(), SimpleQueue[Call]()
    rooms.session.during = lambda: assert_true(goes_on.wait(30))
    calls = [rooms.call(), rooms.call()]
    walk(calls, rooms.services(), over.put)
    assert (calls[0].stopped_by, type(calls[1].stopped_by)) == (None, Overloaded)
    goes_on.set()
    arrive([over.get(timeout=30)], rooms.services())
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="overloaded") == 1


def test_parked_calls_are_requests_in_flight_each(rooms: Rooms) -> None:
    walked(rooms, [rooms.call(), rooms.call()])
    assert len(rooms.limiter.leases) == 2


def assert_true(holds: bool) -> None:
    assert holds
