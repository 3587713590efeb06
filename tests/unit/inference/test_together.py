"""Calls that walk down the spine side by side end as they would have ended alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from secure_ml_api.errors import DeadlineExceeded, InferenceFailed, MalformedBody, QuotaExceeded, TokenRefused
from secure_ml_api.models.pace import Pace
from secure_ml_api.setting_sections import BatchingSettings
from secure_ml_api.telemetry.request_ids import current_request_id
from secure_ml_api.tensors import Tensors
from support.side_by_side import ROWS_RUN, RUNS, counted, walked
from support.spine import FakeManifest, Rooms

QUICK = Pace(one_seconds=10e-6, many_seconds=20e-6, many_rows=32, rows_are_independent=True)
TWO_ROWS = b'{"instances": [[1, 2, 3, 4], [9, 9, 9, 9]]}'


@pytest.fixture
def rooms() -> Rooms:
    made = Rooms(waiting=9)
    made.registry.model.pace = QUICK
    return made


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
