"""Requests that threads walk down the spine together: each is answered once, whoever waits for it still."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import Any, cast

import pytest

from secure_ml_api.api.addresses import Addresses
from secure_ml_api.api.company import Parked
from secure_ml_api.api.lane import FastLane
from secure_ml_api.api.walkers import Walkers
from secure_ml_api.models.pace import Pace
from support.gated import until
from support.spine import ROW, Rooms

QUICK = Pace(one_seconds=10e-6, many_seconds=20e-6, many_rows=32, rows_are_independent=True)
LONG = 30.0


class Lane:
    """Walkers over fakes, whose charges wait at a gate that begins open; who has arrived is in ``arrived``."""

    def __init__(self, most: int = 4) -> None:
        self.rooms = Rooms(waiting=9)
        self.rooms.registry.model.pace = QUICK
        self.gate, self.charging = Event(), 0
        self.gate.set()
        charge = self.rooms.limiter.charge

        def charged(subject: str, charges: Any) -> Any:
            self.charging += 1
            assert self.gate.wait(LONG)
            return charge(subject, charges)

        self.rooms.limiter.charge = charged  # type: ignore[method-assign]
        self.walkers = Walkers(FastLane(lambda *_: [], self.rooms.services(), Addresses(()), LONG), most)
        self.arrived: SimpleQueue[Parked] = SimpleQueue()

    def asks(self, times: int = 1, body: bytes = ROW) -> list[Parked]:
        return self.walkers.answer([self._environ(body) for _ in range(times)], self.arrived.put)

    def statuses(self, many: int) -> list[str]:
        """How those are answered that arrive next."""
        return [self.walkers.arrive([self.arrived.get(timeout=LONG)])[0][0] for _ in range(many)]

    @property
    def walking(self) -> int:
        return len(self.walkers._since)

    def in_flight(self) -> float:
        return self.rooms.counted("secure_ml_api_in_flight")

    @staticmethod
    def _environ(body: bytes) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/v1/models/iris/predict",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": "Bearer good",
            "wsgi.input": io.BytesIO(body),
        }


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane()
    yield made
    made.gate.set()


def test_nobody_who_asks_waits_and_each_arrives_with_its_answer(lane: Lane) -> None:
    lane.gate.clear()
    good, bad = lane.asks(2), lane.asks(body=b"{")
    lane.gate.set()
    answers = {}
    for _ in range(3):
        each = lane.arrived.get(timeout=LONG)
        answers[each] = lane.walkers.arrive([each])[0][0]
    assert answers == dict.fromkeys(good, "200 OK") | dict.fromkeys(bad, "400 BAD REQUEST")
    assert all(lease.released == 1 for lease in lane.rooms.limiter.leases)
    assert lane.in_flight() == 0


def test_walkers_end_when_nobody_waits(lane: Lane) -> None:
    lane.asks(3)
    assert lane.statuses(3) == ["200 OK"] * 3
    until(lambda: lane.walking == 0)


def test_while_two_are_on_their_way_the_others_gather(lane: Lane) -> None:
    lane.gate.clear()
    lane.asks()
    until(lambda: lane.charging == 1)
    lane.asks()
    until(lambda: lane.charging == 2)
    lane.walkers._since = dict.fromkeys(lane.walkers._since, float("inf"))  # no time passes for them
    for _ in range(5):
        lane.asks()
    assert (lane.walking, len(lane.walkers._waiting)) == (2, 5)
    lane.gate.set()
    assert lane.statuses(7) == ["200 OK"] * 7


def test_for_those_who_are_held_up_others_set_out_up_to_a_bound(lane: Lane) -> None:
    lane.gate.clear()
    for _ in range(6):
        lane.asks()
        lane.walkers._since = dict.fromkeys(lane.walkers._since, float("-inf"))
    assert lane.walking == 4
    lane.gate.set()
    assert lane.statuses(6) == ["200 OK"] * 6


def test_who_is_late_is_told_so_while_its_charge_is_waited_for_and_keeps_nothing(lane: Lane) -> None:
    lane.gate.clear()
    (late,) = lane.asks()
    until(lambda: lane.charging)
    lane.walkers.give_up(late)
    assert lane.walkers.arrive([late])[0][0] == "504 GATEWAY TIMEOUT"
    lane.gate.set()
    until(lambda: not lane.walking)
    assert [lease.released for lease in lane.rooms.limiter.leases] == [1]
    assert lane.arrived.empty()
    assert lane.in_flight() == 0


def test_who_is_late_before_it_sets_out_is_charged_nothing(lane: Lane) -> None:
    lane.gate.clear()
    for _ in range(4):
        lane.asks()
        lane.walkers._since = dict.fromkeys(lane.walkers._since, float("-inf"))
    (late,) = lane.asks()
    lane.walkers.give_up(late)
    assert lane.walkers.arrive([late])[0][0] == "504 GATEWAY TIMEOUT"
    lane.gate.set()
    assert lane.statuses(4) == ["200 OK"] * 4
    until(lambda: not lane.walking)
    assert lane.charging == 4


def test_who_was_late_before_its_model_was_asked_keeps_no_place_there(lane: Lane) -> None:
    lane.rooms.registry.model.pace = None  # not quick: its runs are waited for elsewhere
    runs = Event()
    lane.rooms.session.during = cast("Any", partial(runs.wait, LONG))
    two = lane.asks(2)
    until(lambda: two[1].call.job is not None)
    lane.gate.clear()
    (late,) = lane.asks()
    until(lambda: lane.charging == 3)
    lane.walkers.give_up(late)
    assert lane.walkers.arrive([late])[0][0] == "504 GATEWAY TIMEOUT"
    lane.gate.set()
    until(lambda: not lane.walking)
    assert late.call.job is not None
    assert late.call.job not in lane.rooms.runner.inside
    assert lane.rooms.admission.waiting == 1  # the other of the first two
    assert lane.rooms.limiter.leases[-1].released == 1
    runs.set()
    assert lane.statuses(2) == ["200 OK"] * 2


def test_whatever_goes_wrong_on_the_way_each_is_answered(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lane.rooms.limiter, "admit_each", breaks)
    lane.gate.clear()
    lane.asks(2)
    assert lane.statuses(2) == ["500 INTERNAL SERVER ERROR"] * 2
    until(lambda: not lane.walking)


def test_a_run_that_is_over_before_its_caller_is_parked_is_answered_all_the_same(lane: Lane) -> None:
    lane.rooms.registry.model.pace = None  # not quick: its runs are waited for elsewhere
    lane.rooms.runner._threads.begin = lambda work: work()  # type: ignore[method-assign]
    answered: SimpleQueue[str] = SimpleQueue()
    arrive = lane.walkers.arrive
    lane.walkers.answer([lane._environ(ROW)], lambda each: answered.put(arrive([each])[0][0]))
    assert answered.get(timeout=LONG) == "200 OK"
    until(lambda: not lane.walking)
    assert [lease.released for lease in lane.rooms.limiter.leases] == [1]
    assert lane.in_flight() == 0


def test_a_deadline_of_the_caller_counts_from_the_start(lane: Lane) -> None:
    lane.gate.clear()
    (hasty,) = lane.walkers.answer([{**lane._environ(ROW), "HTTP_REQUEST_TIMEOUT": "2"}], lane.arrived.put)
    assert hasty.deadline - monotonic() <= 2.0
    (odd,) = lane.walkers.answer([{**lane._environ(ROW), "HTTP_REQUEST_TIMEOUT": "soon"}], lane.arrived.put)
    assert odd.deadline - monotonic() > 2.0
    lane.gate.set()
    assert sorted(lane.statuses(2)) == ["200 OK", "400 BAD REQUEST"]
