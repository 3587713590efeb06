"""Requests that threads walk down the spine together: each is answered once, whoever waits for it still."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import Any, cast

import pytest

from support.gated import until
from support.spine import ROW
from support.walking import LONG, Lane


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
    lane.all_since(float("inf"))  # no time passes for them
    for _ in range(5):
        lane.asks()
    assert (lane.walking, len(lane.walkers._waiting)) == (2, 5)
    lane.gate.set()
    assert lane.statuses(7) == ["200 OK"] * 7


def test_for_those_who_are_held_up_others_set_out_up_to_a_bound(lane: Lane) -> None:
    lane.gate.clear()
    lane.all_are_held_up(4)
    for _ in range(2):
        lane.asks()
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
    lane.all_are_held_up(4)
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
    lane.walkers.answer([lane.environ(ROW)], lambda each: answered.put(arrive([each])[0][0]))
    assert answered.get(timeout=LONG) == "200 OK"
    until(lambda: not lane.walking)
    assert [lease.released for lease in lane.rooms.limiter.leases] == [1]
    assert lane.in_flight() == 0


def test_a_deadline_of_the_caller_counts_from_the_start(lane: Lane) -> None:
    lane.gate.clear()
    (hasty,) = lane.walkers.answer([{**lane.environ(ROW), "HTTP_REQUEST_TIMEOUT": "2"}], lane.arrived.put)
    assert hasty.deadline - monotonic() <= 2.0
    (odd,) = lane.walkers.answer([{**lane.environ(ROW), "HTTP_REQUEST_TIMEOUT": "soon"}], lane.arrived.put)
    assert odd.deadline - monotonic() > 2.0
    lane.gate.set()
    assert sorted(lane.statuses(2)) == ["200 OK", "400 BAD REQUEST"]


@pytest.mark.parametrize("order", [("hangs", "iris"), ("iris", "hangs")])
def test_who_walks_with_one_whose_model_hangs_begins_anew_and_the_one_is_told_by_its_deadline(
    lane: Lane, order: tuple[str, str]
) -> None:
    hanging = Event()
    lane.has_also("hangs", lambda: hanging.wait(LONG))
    asked = dict(zip(order, lane.asks_together(*order), strict=True))
    until(lambda: bool(lane.rooms.runner.watchdog.running))
    lane.walkers.look()
    lane.watchdog_looks(rounds=5)  # it is told to stop, which most runs do
    lane.walkers.look()
    assert lane.arrived.empty()
    lane.watchdog_looks(rounds=1)
    lane.walkers.look()
    lane.walkers.look()
    served = lane.arrived.get(timeout=LONG)
    assert served is asked["iris"]
    assert lane.walkers.arrive([served])[0][0] == "200 OK"
    lane.walkers.give_up(asked["hangs"])
    assert lane.walkers.arrive([asked["hangs"]])[0][0] == "504 GATEWAY TIMEOUT"
    hanging.set()
    until(lambda: not lane.walking)
    assert lane.arrived.empty()
    assert [lease.released for lease in lane.rooms.limiter.leases] == [1, 1, 1]
    assert lane.in_flight() == 0


def test_who_begins_anew_is_not_charged_again_nor_refused_what_it_has_paid_for(lane: Lane) -> None:
    hanging = Event()
    lane.has_also("hangs", lambda: hanging.wait(LONG))
    lane.asks_together("hangs", "iris", "iris")
    until(lambda: bool(lane.rooms.runner.watchdog.running))
    charged = list(lane.rooms.limiter.charged)
    lane.rooms.limiter.used_up, lane.rooms.limiter.known = {"requests", "rows"}, True
    lane.watchdog_looks(rounds=6)
    lane.walkers.look()
    assert lane.statuses(2) == ["200 OK"] * 2
    assert lane.rooms.limiter.charged == charged
    hanging.set()
    until(lambda: not lane.walking)


def test_who_walks_with_one_whose_model_hangs_and_has_a_run_elsewhere_waits_for_that(lane: Lane) -> None:
    hanging, running = Event(), Event()
    lane.has_also("hangs", lambda: hanging.wait(LONG))
    lane.rooms.registry.model.pace = None  # not quick: its runs are waited for elsewhere
    lane.rooms.session.during = cast("Any", partial(running.wait, LONG))
    slow, _ = lane.asks_together("iris", "hangs")
    until(lambda: len(lane.rooms.runner.watchdog.running) == 2)
    lane.watchdog_looks(rounds=6)
    lane.walkers.look()
    running.set()
    assert lane.arrived.get(timeout=LONG) is slow
    assert lane.rooms.session.asked.count("run") == 1
    hanging.set()
    until(lambda: not lane.walking)


def test_who_was_stopped_before_a_companion_s_model_hung_is_told_so_and_charged_once(lane: Lane) -> None:
    hanging = Event()
    lane.has_also("hangs", lambda: hanging.wait(LONG))
    (bad,) = lane.asks_together_with("hangs", body=b"{")
    until(lambda: bool(lane.rooms.runner.watchdog.running))
    lane.watchdog_looks(rounds=6)
    lane.walkers.look()
    assert lane.arrived.get(timeout=LONG) is bad
    assert lane.walkers.arrive([bad])[0][0] == "400 BAD REQUEST"
    lane.walkers.look()
    hanging.set()
    assert len(lane.statuses(1)) == 1  # of the one that hung
    until(lambda: not lane.walking)
    assert lane.arrived.empty()
    assert lane.in_flight() == 0


def test_who_begins_anew_takes_its_place_along(lane: Lane) -> None:
    hanging = Event()
    lane.has_also("hangs", lambda: hanging.wait(LONG))
    lane.asks_together("hangs", "iris")
    until(lambda: bool(lane.rooms.runner.watchdog.running))
    lane.watchdog_looks(rounds=6)
    lane.walkers.look()
    assert lane.statuses(1) == ["200 OK"]
    assert [lease.released for lease in lane.rooms.limiter.leases].count(1) == 2  # all but that of the one that hangs
    hanging.set()
    until(lambda: not lane.walking)


def test_who_waits_while_all_walkers_are_held_up_walks_although_nobody_comes_after(lane: Lane) -> None:
    lane.gate.clear()
    for number in range(2):
        lane.asks()
        until(partial(lane.is_at_gate, number + 1))
    lane.all_since(float("inf"))  # they have only just begun
    lane.asks()
    assert lane.walking == 2
    lane.all_since(float("-inf"))
    lane.walkers.look()
    assert lane.walking == 3
    lane.gate.set()
    assert lane.statuses(3) == ["200 OK"] * 3
