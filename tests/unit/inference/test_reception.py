"""Whoever was refused for want of room is told so again without ado; nobody else learns anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from secure_ml_api.errors import Overloaded
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.reception import Reception
from support.gated import Stage
from support.spine import CALLER, Rooms

PATH = "/v1/models/iris/predict"


class Desk:
    """The reception of a worker whose model runs behind a closed gate, with one who waits and no room for more."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.now = 10.0
        self.reception = Reception(stage.runner, {PATH: ("iris", None)}.get, clock=lambda: self.now)
        self._rooms = Rooms()

    def refused(self, authorization: str = "Bearer known") -> Call:
        call = self._rooms.call(authorization=authorization)
        call.principal, call.model = CALLER, cast("Any", self.stage.model)
        self.reception.remember(call)
        return call


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Stage(waiting=1) as stage:
        for number in (1.0, 2.0):
            job = stage.job(number)
            job.client = CALLER.client_id
            stage.asks_job(job)
        with pytest.raises(Overloaded):
            stage.admission.check(stage.model, CALLER.client_id)
        yield Desk(stage)


def test_who_was_refused_is_told_when_to_come_back(desk: Desk) -> None:
    desk.refused()
    assert desk.reception.is_alert
    seconds = desk.reception.turned_away(PATH, "Bearer known")
    assert seconds is not None
    assert seconds >= 1


@pytest.mark.parametrize(
    ("path", "authorization"),
    [(PATH, "Bearer other"), (PATH, None), ("/v1/models/other/predict", "Bearer known"), ("/docs", "Bearer known")],
)
def test_nobody_else_and_nothing_else_is_turned_away(desk: Desk, path: str, authorization: str | None) -> None:
    desk.refused()
    assert desk.reception.turned_away(path, authorization) is None


def test_who_was_refused_is_let_in_as_soon_as_there_is_room(desk: Desk) -> None:
    desk.refused()
    desk.stage.session.gate.set()
    for asked in desk.stage._asked:
        asked.result()
    assert desk.reception.turned_away(PATH, "Bearer known") is None


def test_those_who_were_told_again_unasked_count_for_the_line_that_has_no_room(desk: Desk) -> None:
    desk.refused()
    drain = desk.stage.admission._lines._of(desk.stage.model).overload.drain
    before = drain.refused
    desk.reception.turned_away_again(PATH, "Bearer known", 3)
    desk.reception.turned_away_again(PATH, "Bearer other", 5)
    assert drain.refused == before + 3


def test_that_room_was_made_is_told_and_who_was_refused_is_let_in(desk: Desk) -> None:
    desk.refused()
    freed = desk.reception.freed
    assert desk.reception.turned_away(PATH, "Bearer known") is not None
    desk.stage.session.gate.set()
    for asked in desk.stage._asked:
        asked.result()
    assert desk.reception.freed > freed
    assert desk.reception.turned_away(PATH, "Bearer known") is None


def test_room_is_waited_for_where_somebody_found_none_and_a_run_is_under_way(desk: Desk) -> None:
    said = [desk.reception.will_make_room]
    desk.refused()
    desk.reception.turned_away(PATH, "Bearer known")
    said.append(desk.reception.will_make_room)
    desk.stage.session.gate.set()
    for asked in desk.stage._asked:
        asked.result()
    said.append(desk.reception.will_make_room)
    assert said == [False, True, False]


def test_a_turn_that_begins_knows_of_nobody_who_found_no_room(desk: Desk) -> None:
    desk.refused()
    desk.reception.turned_away(PATH, "Bearer known")
    desk.reception.begin_turn()
    assert not desk.reception.will_make_room


def test_as_long_as_nobody_was_refused_nothing_need_be_asked(desk: Desk) -> None:
    assert not desk.reception.is_alert


def test_a_second_later_the_caller_has_to_prove_anew_who_it_is(desk: Desk) -> None:
    desk.refused()
    desk.now += 1.0
    assert desk.reception.turned_away(PATH, "Bearer known") is None
    desk.reception.look()
    assert not desk.reception.is_alert


def test_what_is_on_its_way_takes_the_room_of_the_line_before_it_gets_there(desk: Desk) -> None:
    desk.refused()
    desk.stage.session.gate.set()
    for asked in desk.stage._asked:
        asked.result()
    passed = 0
    while passed < 10 and desk.reception.turned_away(PATH, "Bearer known", passed) is None:
        passed += 1
    assert 1 <= passed < 10
    desk.reception.forget(0)
    desk.reception.begin_turn()
    assert desk.reception.turned_away(PATH, "Bearer known", "one more") is None


def test_names_without_end_do_not_fill_the_memory(desk: Desk) -> None:
    for number in range(5000):
        desk.refused(f"Bearer {number}")
    assert len(desk.reception._refused) <= 4096


def test_those_with_a_model_are_counted_and_leave(desk: Desk) -> None:
    assert desk.reception.with_models == 2
    desk.stage.session.gate.set()
    for asked in desk.stage._asked:
        asked.result()
    assert desk.reception.with_models == 0


def test_a_server_without_models_turns_nobody_away() -> None:
    reception = Reception()
    reception.has_no_room()
    assert reception.overload.is_strict
    assert reception.with_models == 0
    assert reception.turned_away(PATH, "Bearer known") is None
