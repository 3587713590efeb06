"""Runs that nobody waits for are ended, give their places to others, and are told of when they do not end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Event, main_thread
from typing import Any

import pytest

from secure_ml_api.errors import DeadlineExceeded, Overloaded
from secure_ml_api.inference.watchdog import ROUND_SECONDS
from secure_ml_api.models.pace import Pace
from secure_ml_api.setting_sections import InferenceSettings
from secure_ml_api.telemetry.request_ids import current_request_id
from secure_ml_api.tensors import Tensors
from support.gated import GatedSession, Stage, until
from support.spine import FakeModel

SOON = 0.05
QUICK = Pace(1e-5, 2e-5, 32, rows_are_independent=True)


class StoppableSession(GatedSession):
    """One whose runs end when they are stopped, even behind the gate."""

    def handle(self) -> Event:
        return Event()

    def run_with(self, handle: Any, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        self.runs.append((inputs["input"][:, 0].tolist(), list(outputs)))
        assert handle.wait(60)
        raise RuntimeError("terminated")

    def stop(self, handle: Any) -> None:
        handle.set()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(inference=InferenceSettings(run_limit_seconds=100.0, max_abandoned_runs=1)) as made:
        yield made


def stoppable(stage: Stage) -> FakeModel:
    stage.session = StoppableSession()
    stage.model = FakeModel(stage.session)
    return stage.model


def rounds(stage: Stage, number: int) -> None:
    for _ in range(number):
        stage.runner.watchdog.look(time.monotonic())


def refused(wait: Callable[[], object]) -> None:
    with pytest.raises(DeadlineExceeded):
        wait()


def test_a_caller_is_told_at_its_deadline_while_the_run_goes_on(stage: Stage) -> None:
    hung = stage.asks(1, seconds=SOON)
    refused(hung.result)
    assert len(stage.runner.watchdog.running) == 1


def test_company_with_more_patience_gets_its_answer_from_a_run_whose_leader_has_left(stage: Stage) -> None:
    first, leader, company = stage.asks(1), stage.asks(2, seconds=1.0), stage.asks(3)
    session = stage.session
    gate, session.gate = session.gate, Event()
    gate.set()
    until(lambda: len(session.runs) > 1)
    refused(leader.result)
    rounds(stage, 5)
    session.gate.set()
    assert (first.doubled(), company.doubled()) == ([2], [6])
    assert stage.rows_of_runs == [[1], [2, 3]]


def test_a_run_that_nobody_waits_for_is_stopped_and_its_place_is_free(stage: Stage) -> None:
    stoppable(stage)
    hung = stage.asks(1, seconds=SOON)
    refused(hung.result)
    rounds(stage, 1)
    until(lambda: not stage.runner.watchdog.running)
    stage.session = GatedSession()
    stage.session.gate.set()
    assert stage.asks(2, model=FakeModel(stage.session)).doubled() == [4]


def test_a_run_is_not_stopped_while_somebody_waits_for_it(stage: Stage) -> None:
    stoppable(stage)
    asked = stage.asks(1)
    rounds(stage, 10)
    assert asked.is_alive()
    for job in stage.runner.watchdog.running.values():
        job.stop()
    refused(asked.result)


def test_a_run_that_cannot_be_stopped_gives_its_place_to_others(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    hung = stage.asks(1, seconds=SOON)
    refused(hung.result)
    other = GatedSession()
    other.gate.set()
    waiting = stage.asks(2, model=FakeModel(other, name="other"))
    rounds(stage, 2)
    assert waiting.doubled() == [4]
    assert [(record.levelname, vars(record)["model"]) for record in caplog.records] == [("WARNING", "iris")]


def test_no_more_than_so_many_runs_are_abandoned(stage: Stage) -> None:
    for number in range(2):
        hung = stage.asks(number, seconds=SOON)
        refused(hung.result)
        rounds(stage, 3)
    late = stage.asks(3, seconds=SOON)
    refused(late.result)
    assert stage.rows_of_runs == [[0], [1]]


def test_a_place_is_given_back_once_although_both_the_watchdog_and_the_end_of_the_run_do_it() -> None:
    with Stage(waiting=0, inference=InferenceSettings(max_abandoned_runs=1)) as stage:
        hung = stage.asks(1, seconds=SOON)
        refused(hung.result)
        rounds(stage, 2)
        stage.session.gate.set()
        until(lambda: not stage.runner.watchdog.running)
        stage.session.gate.clear()
        stage.asks(2)
        with pytest.raises(Overloaded):
            stage.runner.run(stage.job(3), stage.counted)


def test_a_run_past_the_limit_is_told_of_once(stage: Stage) -> None:
    told: list[tuple[str, float]] = []
    watchdog = stage.runner.watchdog
    watchdog._on_hang = lambda model, seconds: told.append((model.name, seconds))
    stage.asks(1, seconds=SOON)
    begun = time.monotonic()
    for seconds in (0.0, 99.0):
        watchdog.look(begun + seconds)
    assert told == []
    for seconds in (100.0, 101.0):
        watchdog.look(begun + seconds)
    ((model, seconds),) = told
    assert model == "iris"
    assert seconds >= 100.0


def test_a_quick_run_that_does_not_end_soon_is_stopped_and_its_model_is_not_quick_any_more(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    model = stoppable(stage)
    model.pace = QUICK
    asked = stage.asks(1)
    rounds(stage, 4)
    assert asked.is_alive()
    rounds(stage, 1)
    refused(asked.result)
    assert not stage.runner.batching.is_quick(model, 1)  # type: ignore[arg-type]
    assert [(record.levelname, vars(record)["model"]) for record in caplog.records] == [("WARNING", "iris")]


def test_a_run_that_holds_up_the_main_thread_is_told_of_when_it_cannot_be_stopped(stage: Stage) -> None:
    told: list[str] = []
    watchdog = stage.runner.watchdog
    watchdog._on_hang = lambda model, seconds: told.append(model.name)
    job = stage.job(1)
    job.is_quick = True
    ident = main_thread().ident
    assert ident is not None
    watchdog.running[ident] = job
    rounds(stage, 8)
    assert told == []
    rounds(stage, 4)
    assert told == ["iris"]


def test_a_thread_is_overdue_when_nobody_waits_any_more_for_the_quick_run_that_it_is_in(stage: Stage) -> None:
    watchdog, stage.model.pace = stage.runner.watchdog, QUICK
    hung = stage.asks(1, seconds=30.0)
    until(lambda: bool(watchdog.running))
    assert watchdog.overdue(time.monotonic()) == set()
    assert watchdog.overdue(time.monotonic() + 30.0) == set(watchdog.running)
    stage.session.gate.set()
    assert hung.doubled() == [2]
    assert watchdog.overdue(time.monotonic() + 30.0) == set()


def test_a_run_in_a_thread_of_its_own_makes_nobody_overdue(stage: Stage) -> None:
    hung = stage.asks(1, seconds=30.0)
    until(lambda: bool(stage.runner.watchdog.running))
    assert stage.runner.watchdog.overdue(time.monotonic() + 30.0) == set()
    stage.session.gate.set()
    assert hung.doubled() == [2]


def test_each_quick_run_is_a_new_one_to_the_watchdog(stage: Stage) -> None:
    stage.model.pace = QUICK
    stage.session.gate.set()
    for number in range(6):
        assert stage.asks(number).doubled() == [number * 2]
        rounds(stage, 1)
    assert stage.runner.batching.is_quick(stage.model, 1)  # type: ignore[arg-type]


def test_the_watchdog_goes_on_after_a_round_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    with Stage(inference=InferenceSettings(run_limit_seconds=ROUND_SECONDS)) as stage:
        told = Event()

        def fails_once(*_: object) -> None:
            if not told.is_set():
                told.set()
                stage.runner.watchdog._has_told = False
                raise RuntimeError("no audit trail")

        hung = stage.asks(1)
        with caplog.at_level(logging.ERROR):
            stage.runner.watchdog.start(fails_once)
            until(lambda: told.is_set() and stage.runner.watchdog._has_told)
        stage.runner.watchdog.stop()
        stage.session.gate.set()
        assert hung.doubled() == [2]
        assert any("watchdog failed" in record.message for record in caplog.records)


def test_the_caller_s_request_id_names_what_its_run_logs(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    def answer(outputs: Tensors) -> Tensors:
        seen.append(current_request_id.get())
        return outputs

    stage.session.answer = answer
    stage.session.gate.set()
    current = current_request_id.set("r-1")
    stage.runner.run(stage.job(1), stage.counted)
    current_request_id.reset(current)
    assert seen == ["r-1"]
