"""The run that a call comes to: whatever it ends with, its place is given back, and it is counted once."""

from __future__ import annotations

import json
import logging

import pytest

from secure_ml_api.errors import (
    DeadlineExceeded,
    InferenceFailed,
    Overloaded,
    StorageUnavailable,
)
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.spine import predict
from secure_ml_api.inference.ticket import Ticket
from secure_ml_api.wire.oip import OIP
from support.spine import CALLER, Rooms
from support.spine_steps import outcome, refused


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.mark.parametrize("failure", [ValueError("secret"), MemoryError(), KeyError("secret"), StorageUnavailable("x")])
def test_whatever_a_model_raises_is_logged_and_not_told(
    rooms: Rooms, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rooms.session.failure = failure
    with caplog.at_level(logging.ERROR):
        refusal = refused(rooms, rooms.call(), InferenceFailed)
    assert "secret" not in refusal.detail
    assert refusal.__cause__ is failure
    [record] = caplog.records
    assert (record.model, record.version) == ("iris", "1")  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert record.exc_info[1] is failure
    assert rooms.counted(outcome("failed")) == 1


def test_a_failed_run_frees_its_place(rooms: Rooms) -> None:
    rooms.session.failure = ValueError()
    refused(rooms, rooms.call(), InferenceFailed)
    rooms.session.failure = None
    assert predict(rooms.call(), rooms.services()).status == 200


def test_a_stop_of_the_process_is_not_taken_for_a_failure_of_the_model(rooms: Rooms) -> None:
    rooms.session.failure = SystemExit(0)
    with pytest.raises(SystemExit):
        predict(rooms.call(), rooms.services())
    assert rooms.limiter.leases[0].released == 1


def test_a_call_whose_deadline_passed_is_not_run(rooms: Rooms) -> None:
    refused(rooms, rooms.call(seconds=-1.0), DeadlineExceeded)
    assert "run" not in rooms.asked
    assert rooms.counted(outcome("late")) == 1


def test_a_deadline_that_passes_while_waiting_for_a_place_is_late() -> None:
    rooms = Rooms(waiting=1)
    with rooms.admission.admitted(Deadline.after(60)):
        refused(rooms, rooms.call(seconds=0.01), DeadlineExceeded)
    assert "run" not in rooms.asked
    assert rooms.counted(outcome("late")) == 1


def test_an_answer_that_comes_after_the_deadline_is_late(rooms: Rooms) -> None:
    call = rooms.call()

    def outlast() -> None:
        call.deadline = Deadline.after(-1.0)

    rooms.session.during = outlast
    refused(rooms, call, DeadlineExceeded)
    assert "run" in rooms.asked
    assert rooms.counted(outcome("late")) == 1
    assert rooms.counted(outcome("virginica")) == 0


def test_a_call_that_finds_too_many_waiting_is_refused_at_once(rooms: Rooms) -> None:
    with rooms.admission.admitted(Deadline.after(60)):
        refusal = refused(rooms, rooms.call(), Overloaded)
    assert refusal.retry_after_seconds >= 1
    assert rooms.counted(outcome("overloaded")) == 1


def test_no_body_is_read_and_nothing_charged_for_a_call_that_finds_too_many_waiting(rooms: Rooms) -> None:
    with rooms.admission.admitted(Deadline.after(60)):
        waits = Ticket(Deadline.after(60), rooms.registry.model)
        waits.client = CALLER.client_id
        rooms.admission._line.append(waits)
        refused(rooms, rooms.call(), Overloaded)
        rooms.admission._line.remove(waits)
    assert "read body" not in rooms.asked
    assert not rooms.limiter.charged


def test_the_callers_own_time_out_shortens_the_deadline_and_never_lengthens_it(rooms: Rooms) -> None:
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    for microseconds, sooner in ((1_000_000, True), (3_600_000_000, False), (2**64 - 1, False)):
        body = json.dumps({"inputs": [tensor], "parameters": {"timeout": microseconds}}).encode()
        call = rooms.call(body, dialect=OIP, seconds=60.0)
        before = call.deadline
        predict(call, rooms.services())
        assert (call.deadline.at < before.at) is sooner


def test_rows_and_runs_are_counted_once_answered(rooms: Rooms) -> None:
    predict(rooms.call(b'{"instances": [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]}'), rooms.services())
    labels = '{model="iris",version="1"}'
    assert rooms.counted("secure_ml_api_rows_total" + labels) == 3
    assert rooms.counted("secure_ml_api_batch_rows_sum" + labels) == 3
    assert rooms.counted("secure_ml_api_inference_seconds_count" + labels) == 1
    assert rooms.counted("secure_ml_api_queue_seconds_count" + labels) == 1
    assert rooms.counted(outcome("virginica")) == 3


def test_a_call_that_never_ran_counts_no_rows(rooms: Rooms) -> None:
    refused(rooms, rooms.call(seconds=-1.0), DeadlineExceeded)
    assert rooms.counted('secure_ml_api_rows_total{model="iris",version="1"}') == 0


def test_leaving_twice_releases_once(rooms: Rooms) -> None:
    call = rooms.call()
    predict(call, rooms.services())
    call.leave()
    assert rooms.limiter.leases[0].released == 1
