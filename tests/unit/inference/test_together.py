"""Calls that walk down the spine side by side end as they would have ended alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event, Semaphore
from typing import Any

import pytest

from secure_ml_api.errors import (
    DeadlineExceeded,
    InferenceFailed,
    MalformedBody,
    Overloaded,
    QuotaExceeded,
    TokenRefused,
)
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.together import arrive, walk
from secure_ml_api.models.pace import Pace
from secure_ml_api.setting_sections import BatchingSettings
from secure_ml_api.telemetry.request_ids import current_request_id
from secure_ml_api.tensors import Tensors
from support.spine import FakeManifest, Rooms

QUICK = Pace(one_seconds=10e-6, many_seconds=20e-6, many_rows=32, rows_are_independent=True)
TWO_ROWS = b'{"instances": [[1, 2, 3, 4], [9, 9, 9, 9]]}'
ROWS_RUN = "secure_ml_api_batch_rows_sum"
RUNS = "secure_ml_api_batch_rows_count"


@pytest.fixture
def rooms() -> Rooms:
    made = Rooms(waiting=9)
    made.registry.model.pace = QUICK
    return made


def counted(rooms: Rooms, name: str, **labels: str) -> float:
    named = {"model": "iris", **labels, "version": "1"}
    return rooms.counted(name + "{" + ",".join(f'{key}="{value}"' for key, value in named.items()) + "}")


def walked(rooms: Rooms, calls: Sequence[Call]) -> list[Exception | None]:
    """What stopped each of ``calls``, those that were parked too, with every lease given back."""
    over: SimpleQueue[Call] = SimpleQueue()
    walk(calls, rooms.services(), over.put)
    for _ in [call for call in calls if call.job is not None]:
        arrive([over.get(timeout=30)], rooms.services())
    assert all(lease.released == 1 for lease in rooms.limiter.leases)
    return [call.stopped_by for call in calls]


def test_each_step_is_taken_by_all_before_the_next(rooms: Rooms) -> None:
    calls = [rooms.call(authorization=f"Bearer {name}") for name in "ab"]
    assert walked(rooms, calls) == [None, None]
    steps = [what for what in rooms.asked if not what.startswith("peek")]
    assert steps[:8] == [
        *["authenticate"] * 2,
        *["check requests"] * 2,
        *["resolve"] * 2,
        *["read body"] * 2,
    ]


def test_one_run_answers_all_who_ask_the_same_quick_model(rooms: Rooms) -> None:
    calls = [rooms.call(), rooms.call(TWO_ROWS), rooms.call()]
    assert walked(rooms, calls) == [None] * 3
    assert rooms.asked.count("run") == 1
    assert json.loads(calls[0].answer.body)["label"] == "virginica"
    assert json.loads(calls[1].answer.body)["predictions"] == [2, 2]
    assert (counted(rooms, RUNS), counted(rooms, ROWS_RUN)) == (1, 4)
    assert counted(rooms, "secure_ml_api_rows_total") == 4
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="virginica") == 4
    assert counted(rooms, "secure_ml_api_queue_seconds_count") == 3


def test_everyone_gets_the_answer_to_their_own_rows(rooms: Rooms) -> None:
    def first_column(inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        made = {"label": inputs["input"][:, 0].astype(int), "probabilities": inputs["input"][:, :3]}
        return {name: made[name] for name in outputs}

    rooms.session.run = first_column  # type: ignore[method-assign]
    calls = [rooms.call(f'{{"features": [{number}, 0, 0, 0]}}'.encode()) for number in (2, 0, 1)]
    assert walked(rooms, calls) == [None] * 3
    assert [json.loads(call.answer.body)["prediction"] for call in calls] == [2, 0, 1]


@pytest.mark.parametrize(
    "alone",
    [
        "not measured",
        "gains nothing",
        "rows that hang together",
        "the settings say never",
        "its manifest says never",
        "more rows than a run may have",
    ],
)
def test_runs_are_not_shared_where_that_is_not_wanted_or_does_not_pay(rooms: Rooms, alone: str) -> None:
    model = rooms.registry.model
    match alone:
        case "not measured":
            model.pace = None
        case "slow":
            model.pace = Pace(1.0, 1.1, 32, rows_are_independent=True)
        case "gains nothing":
            model.pace = Pace(1e-6, 32e-6, 32, rows_are_independent=True)
        case "rows that hang together":
            model.pace = Pace(10e-6, 20e-6, 32, rows_are_independent=False)
        case "the settings say never":
            rooms.runner.batching._settings = BatchingSettings(enabled="never")
        case "its manifest says never":
            model.manifest = FakeManifest(batching="never")
        case "more rows than a run may have":
            model.manifest = FakeManifest(max_batch_rows=1)
    assert walked(rooms, [rooms.call(), rooms.call()]) == [None, None]
    assert rooms.asked.count("run") == 2


def test_models_on_trial_are_asked_by_each_call_alone(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms.registry, "has_trials", True)
    monkeypatch.setattr(rooms.registry, "canaries", dict, raising=False)
    monkeypatch.setattr(rooms.registry, "shadow", lambda name: None, raising=False)
    walked(rooms, [rooms.call(), rooms.call()])
    assert rooms.asked.count("run") == 2


def test_a_poisonous_row_fails_alone(rooms: Rooms) -> None:
    answer = rooms.session.run

    def cannot_bear_nine(inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        if (inputs["input"] == 9).any():
            raise ValueError("nine")
        return answer(inputs, outputs)

    rooms.session.run = cannot_bear_nine  # type: ignore[method-assign]
    calls = [rooms.call(), rooms.call(TWO_ROWS), rooms.call()]
    stopped = walked(rooms, calls)
    assert [type(each) for each in stopped] == [type(None), InferenceFailed, type(None)]
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="failed") == 2
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="virginica") == 2


def test_a_run_that_was_stopped_is_not_tried_again_for_each(rooms: Rooms) -> None:
    def is_stopped() -> None:
        for job in rooms.runner.watchdog.running.values():
            job.stop()
        raise RuntimeError("terminated")

    rooms.session.during = is_stopped
    stopped = walked(rooms, [rooms.call(), rooms.call()])
    assert [type(each) for each in stopped] == [DeadlineExceeded] * 2
    assert rooms.asked.count("run") == 1


def test_a_bad_body_stops_its_own_call_and_costs_it_one_request(rooms: Rooms) -> None:
    calls = [rooms.call(), rooms.call(b"{"), rooms.call()]
    stopped = walked(rooms, calls)
    assert [type(each) for each in stopped] == [type(None), MalformedBody, type(None)]
    assert rooms.asked.count("charge requests and rows") == 2
    assert rooms.asked.count("charge requests") == 1


def test_a_late_call_is_late_alone(rooms: Rooms) -> None:
    calls = [rooms.call(seconds=-1.0), rooms.call()]
    stopped = walked(rooms, calls)
    assert [type(each) for each in stopped] == [DeadlineExceeded, type(None)]
    assert counted(rooms, "secure_ml_api_predictions_total", outcome="late") == 1


def test_a_token_that_comes_several_times_is_asked_for_once(rooms: Rooms) -> None:
    walked(rooms, [rooms.call(), rooms.call(), rooms.call()])
    assert rooms.asked.count("authenticate") == 1


def test_a_refused_token_is_refused_and_charged_each_time(rooms: Rooms) -> None:
    rooms.authenticator.refusal = TokenRefused("expired")
    stopped = walked(rooms, [rooms.call(), rooms.call()])
    assert [type(each) for each in stopped] == [TokenRefused] * 2
    assert rooms.asked.count("charge failed-authentications") == 2
    assert len(rooms.audit.events) == 2


def test_a_call_that_is_charged_for_a_mistake_and_has_no_quota_left_hears_of_the_quota(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"requests"}
    stopped = walked(rooms, [rooms.call(b"{"), rooms.call(b"{")])
    assert [type(each) for each in stopped] == [QuotaExceeded] * 2


def test_what_nobody_foresaw_stops_its_own_call(rooms: Rooms) -> None:
    def breaks() -> bytes:
        raise ZeroDivisionError

    stopped = walked(rooms, [rooms.call(), rooms.call(read_body=breaks)])
    assert [type(each) for each in stopped] == [type(None), ZeroDivisionError]


def test_each_step_is_taken_under_the_id_of_its_own_request(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    resolve = rooms.registry.resolve

    def noting(*arguments: Any) -> Any:
        seen.append(current_request_id.get())
        return resolve(*arguments)

    monkeypatch.setattr(rooms.registry, "resolve", noting)
    walked(rooms, [rooms.call(request_id="one"), rooms.call(request_id="two")])
    assert seen == ["one", "two"]
    assert current_request_id.get() is None


SLOW = Pace(one_seconds=1.0, many_seconds=1.1, many_rows=32, rows_are_independent=True)


def test_a_call_whose_model_is_not_quick_is_parked_and_the_others_are_answered(rooms: Rooms) -> None:
    rooms.registry.model.pace = SLOW
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
    rooms.registry.model.pace = SLOW
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
    rooms.registry.model.pace = SLOW
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
    rooms.registry.model.pace = SLOW
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
    rooms.registry.model.pace = SLOW
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
    rooms.registry.model.pace = SLOW
    walked(rooms, [rooms.call(), rooms.call()])
    assert len(rooms.limiter.leases) == 2


def assert_true(holds: bool) -> None:
    assert holds
