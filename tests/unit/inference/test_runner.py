"""Callers of one model share its runs, and nobody notices anything of it but the time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import DeadlineExceeded, InferenceFailed, Overloaded
from secure_ml_api.models.pace import Pace
from secure_ml_api.tensors import Tensors
from support.gated import POISON, Stage, until
from support.spine import FakeManifest, FakeModel


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        yield made


def test_an_idle_model_runs_its_caller_at_once(stage: Stage) -> None:
    stage.session.gate.set()
    assert stage.runner.run(stage.job(1, 2), stage.counted)["double"].tolist() == [2, 4]
    assert stage.rows_of_runs == [[1, 2]]


def test_those_who_come_while_it_runs_share_the_next_run(stage: Stage) -> None:
    callers = [stage.asks(1), stage.asks(2), stage.asks(3, 4), stage.asks(5)]
    stage.session.gate.set()
    assert [caller.doubled() for caller in callers] == [[2], [4], [6, 8], [10]]
    assert stage.rows_of_runs == [[1], [2, 3, 4, 5]]


def test_a_run_takes_no_more_rows_than_its_bound_and_leaves_the_order_as_it_was() -> None:
    with Stage(max_batch_rows=4) as stage:
        callers = [stage.asks(1), stage.asks(2), stage.asks(3, 3), stage.asks(4, 4), stage.asks(5)]
        stage.session.gate.set()
        assert [caller.doubled() for caller in callers] == [[2], [4], [6, 6], [8, 8], [10]]
        assert stage.rows_of_runs == [[1], [2, 3, 3], [4, 4, 5]]


def test_a_request_over_the_bound_runs_alone() -> None:
    with Stage(max_batch_rows=2) as stage:
        callers = [stage.asks(1), stage.asks(2, 2, 2), stage.asks(3)]
        stage.session.gate.set()
        assert [caller.doubled() for caller in callers] == [[2], [4, 4, 4], [6]]
        assert stage.rows_of_runs == [[1], [2, 2, 2], [3]]


def test_each_is_handed_just_the_outputs_that_it_asked_for(stage: Stage) -> None:
    callers = [
        stage.asks(1),
        stage.asks(2, wanted=["double"]),
        stage.asks(3, wanted=["place", "double"]),
        stage.asks(4, wanted=["place"]),
    ]
    stage.session.gate.set()
    results = [caller.result() for caller in callers[1:]]
    assert [list(result) for result in results] == [["double"], ["place", "double"], ["place"]]
    assert [{name: tensor.tolist() for name, tensor in result.items()} for result in results] == [
        {"double": [4]},
        {"place": [1], "double": [6]},
        {"place": [2]},
    ]
    assert stage.session.runs[1][1] == ["double", "place"]


def test_callers_of_different_models_are_served_in_order_and_never_together(stage: Stage) -> None:
    other = FakeModel(stage.session, name="other")
    callers = [stage.asks(1), stage.asks(2), stage.asks(3, model=other), stage.asks(4), stage.asks(5, model=other)]
    stage.session.gate.set()
    assert [caller.doubled() for caller in callers] == [[2], [4], [6], [8], [10]]
    assert stage.rows_of_runs == [[1], [2, 4], [3, 5]]


def test_where_merging_is_off_everyone_runs_alone() -> None:
    with Stage(enabled="never") as stage:
        callers = [stage.asks(number) for number in range(4)]
        stage.session.gate.set()
        assert [caller.doubled() for caller in callers] == [[0], [2], [4], [6]]
        assert stage.rows_of_runs == [[0], [1], [2], [3]]


def test_of_a_merged_run_that_fails_only_the_poisonous_caller_fails(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    callers = [stage.asks(1), stage.asks(2), stage.asks(POISON), stage.asks(3)]
    late_comer = stage.asks(4)
    stage.session.gate.set()
    with caplog.at_level(logging.WARNING):
        with pytest.raises(InferenceFailed):
            callers[2].result()
        assert [caller.doubled() for caller in (*callers[:2], callers[3], late_comer)] == [[2], [4], [6], [8]]
    assert stage.rows_of_runs == [[1], [2, POISON, 3, 4], [2], [POISON], [3], [4]]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_a_leader_that_is_itself_the_poison_harms_nobody(stage: Stage) -> None:
    first, poison, good = stage.asks(1), stage.asks(POISON), stage.asks(2)
    stage.session.gate.set()
    with pytest.raises(InferenceFailed):
        poison.result()
    assert (first.doubled(), good.doubled()) == ([2], [4])


@pytest.mark.parametrize("stop", [SystemExit(0), KeyboardInterrupt()])
def test_a_leader_that_is_stopped_leaves_its_company_to_run_alone(stage: Stage, stop: BaseException) -> None:
    stage.session.failure = stop
    first, poison, good = stage.asks(1), stage.asks(POISON), stage.asks(2)
    stage.session.gate.set()
    assert (first.doubled(), good.doubled()) == ([2], [4])
    with pytest.raises(type(stop)):
        poison.result()
    assert stage.rows_of_runs == [[1], [POISON, 2], [2]]


@pytest.mark.parametrize(
    "answer",
    [
        lambda outputs: {name: tensor[:1] for name, tensor in outputs.items()},
        lambda outputs: {name: np.concatenate([tensor, tensor]) for name, tensor in outputs.items()},
        lambda outputs: {},
    ],
    ids=["too few", "too many", "none"],
)
def test_a_merged_answer_without_a_row_for_each_row_is_handed_to_nobody(stage: Stage, answer: Any) -> None:
    def only_merged(outputs: Tensors) -> Tensors:
        changed: Tensors = answer(outputs) if len(outputs["double"]) > 1 else outputs
        return changed

    stage.session.answer = only_merged
    callers = [stage.asks(1), stage.asks(2), stage.asks(3)]
    stage.session.gate.set()
    assert [caller.doubled() for caller in callers] == [[2], [4], [6]]


def test_rows_that_cannot_be_joined_are_run_alone(stage: Stage) -> None:
    odd = stage.job(3)
    odd.inputs["input"] = odd.inputs["input"].astype(np.float64)
    callers = [stage.asks(1), stage.asks(2)]
    with_odd = stage.asks_job(odd)
    stage.session.gate.set()
    assert [caller.doubled() for caller in (*callers, with_odd)] == [[2], [4], [6]]
    assert stage.rows_of_runs == [[1], [2], [3]]


def test_a_caller_that_is_late_in_the_line_is_not_run(stage: Stage) -> None:
    first, late, good = stage.asks(1), stage.asks(2, seconds=0.05), stage.asks(3)
    with pytest.raises(DeadlineExceeded):
        late.result()
    stage.session.gate.set()
    assert (first.doubled(), good.doubled()) == ([2], [6])
    assert stage.rows_of_runs == [[1], [3]]


def test_a_caller_that_is_late_in_another_s_run_is_let_go_and_harms_nobody(stage: Stage) -> None:
    first = stage.asks(1)
    leader, late, good = stage.asks(2), stage.asks(3, seconds=1.0), stage.asks(4)
    session, entered = stage.session, len(stage.session.runs)
    gate, session.gate = session.gate, type(session.gate)()  # the run that comes next has a gate of its own
    gate.set()
    until(lambda: len(session.runs) > entered)
    with pytest.raises(DeadlineExceeded):
        late.result()
    session.gate.set()
    assert (first.doubled(), leader.doubled(), good.doubled()) == ([2], [4], [8])
    assert stage.rows_of_runs == [[1], [2, 3, 4]]


def test_a_deadline_that_has_passed_costs_no_run(stage: Stage) -> None:
    with pytest.raises(DeadlineExceeded):
        stage.runner.run(stage.job(1, seconds=-1.0), stage.counted)
    assert stage.session.runs == []
    assert stage.admission.waiting == 0


def test_more_than_may_wait_are_refused_at_once() -> None:
    with Stage(waiting=1) as stage:
        callers = [stage.asks(1), stage.asks(2)]
        with pytest.raises(Overloaded):
            stage.runner.run(stage.job(3), stage.counted)
        stage.session.gate.set()
        assert [caller.doubled() for caller in callers] == [[2], [4]]


def test_a_free_place_is_taken_before_anyone_waits_for_company() -> None:
    with Stage(runs=2) as stage:
        callers = [stage.asks(1), stage.asks(2), stage.asks(3), stage.asks(4)]
        assert stage.rows_of_runs == [[1], [2]]
        stage.session.gate.set()
        assert [caller.doubled() for caller in callers] == [[2], [4], [6], [8]]


def test_a_run_that_may_wait_for_company_starts_when_it_is_full() -> None:
    with Stage(runs=2, max_batch_rows=3, max_delay_seconds=60.0) as stage:
        stage.session.gate.set()
        leader = stage.lingers(1)
        callers = [stage.asks(2), stage.asks(3)]
        assert [caller.doubled() for caller in (leader, *callers)] == [[2], [4], [6]]
        assert stage.rows_of_runs == [[1, 2, 3]]


def test_a_run_that_waits_in_vain_for_company_starts_alone() -> None:
    with Stage(max_delay_seconds=0.01) as stage:
        stage.session.gate.set()
        assert stage.runner.run(stage.job(1), stage.counted)["double"].tolist() == [2]


def test_a_run_that_is_cheaper_than_a_hand_over_waits_for_nobody(stage: Stage, monkeypatch: Any) -> None:
    quick = FakeModel(stage.session, name="quick", pace=Pace(1e-5, 2e-5, 32, rows_are_independent=True))
    monkeypatch.setattr(stage.runner.batching, "_hand_over_seconds", 5e-5)
    slow, first, second = stage.asks(1), stage.asks(2, model=quick), stage.asks(3, model=quick)
    assert stage.rows_of_runs == [[1], [2], [3]]
    stage.session.gate.set()
    assert [caller.doubled() for caller in (slow, first, second)] == [[2], [4], [6]]


def test_a_model_s_own_bound_wins_over_the_server_s(stage: Stage) -> None:
    stage.model.manifest = FakeManifest(max_batch_rows=2)
    callers = [stage.asks(number) for number in range(4)]
    stage.session.gate.set()
    assert [caller.doubled() for caller in callers] == [[0], [2], [4], [6]]
    assert stage.rows_of_runs == [[0], [1, 2], [3]]


def test_runs_are_counted_once_and_waiting_once_for_each_caller(stage: Stage) -> None:
    callers = [stage.asks(1), stage.asks(2), stage.asks(3, 4)]
    stage.session.gate.set()
    for caller in callers:
        caller.result()
    assert (stage.count("inference_seconds_count"), stage.count("queue_seconds_count")) == (2, 3)
    assert (stage.count("batch_rows_count"), stage.count("batch_rows_sum")) == (2, 4)


def test_a_merged_run_that_failed_is_not_counted_beside_those_that_followed(stage: Stage) -> None:
    callers = [stage.asks(1), stage.asks(2), stage.asks(POISON), stage.asks(3)]
    stage.session.gate.set()
    for caller in callers:
        caller.join()
    assert (stage.count("batch_rows_count"), stage.count("batch_rows_sum")) == (3, 3)
    assert stage.count("queue_seconds_count") == 4
