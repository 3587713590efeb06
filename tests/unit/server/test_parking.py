"""Which parked requests arrive, which are late, and when the loop is woken."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import pytest

from secure_ml_api.server.parking import Parking


@dataclass(eq=False)
class Waiting:
    deadline: float


class Watched:
    """A parking whose connections are words."""

    def __init__(self) -> None:
        self.woken = 0
        self.parking = Parking(self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def add(self, connection: Any, deadline: float) -> Waiting:
        parked = Waiting(deadline)
        self.parking.add(parked, connection)
        return parked

    def over(self) -> list[Any]:
        return [connection for _, connection in self.parking.taken_over()]

    def late(self, now: float) -> list[Any]:
        return [connection for _, connection in self.parking.taken_late(now)]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_those_that_are_over_arrive_in_their_order_and_once(watched: Watched) -> None:
    first, second = watched.add("a", 10.0), watched.add("b", 10.0)
    watched.parking.over(second)
    watched.parking.over(first)
    assert watched.over() == ["b", "a"]
    assert watched.over() == []


def test_the_loop_is_woken_once_for_all_that_it_has_not_looked_at(watched: Watched) -> None:
    parked = [watched.add(str(number), 10.0) for number in range(3)]
    watched.parking.over(parked[0])
    watched.parking.over(parked[1])
    assert watched.woken == 1
    watched.over()
    watched.parking.over(parked[2])
    assert watched.woken == 2


def test_those_whose_deadline_has_passed_are_late_and_the_others_are_not(watched: Watched) -> None:
    watched.add("later", 9.0)
    watched.add("soon", 3.0)
    assert watched.parking.next_deadline == 3.0
    assert watched.late(2.9) == []
    assert watched.late(3.0) == ["soon"]
    assert watched.parking.next_deadline == 9.0


def test_a_deadline_that_turns_out_to_be_sooner_is_kept(watched: Watched) -> None:
    parked = watched.add("soon", 9.0)
    watched.add("later", 10.0)
    parked.deadline = 3.0
    watched.parking.look()
    assert watched.parking.next_deadline == 3.0
    assert watched.late(3.0) == ["soon"]
    assert watched.late(9.5) == []


def test_who_was_late_does_not_arrive_and_who_has_arrived_is_not_late(watched: Watched) -> None:
    late, arrived = watched.add("late", 1.0), watched.add("arrived", 1.0)
    watched.parking.over(arrived)
    assert watched.over() == ["arrived"]
    assert watched.late(5.0) == ["late"]
    watched.parking.over(late)
    assert watched.over() == []
    assert watched.parking.next_deadline == inf


def test_a_loop_that_rests_is_woken_when_half_of_those_who_waited_can_be_answered(watched: Watched) -> None:
    parked = [watched.add(str(number), 10.0) for number in range(4)]
    woken = []

    def wait() -> None:
        for each in parked[:3]:
            watched.parking.over(each)
            woken.append(watched.woken)

    watched.parking.rest(wait)
    assert woken == [0, 1, 1]
    assert watched.over() == ["0", "1", "2"]


def test_a_loop_that_rests_is_woken_by_the_first_of_two(watched: Watched) -> None:
    parked = [watched.add(str(number), 10.0) for number in range(2)]
    watched.parking.rest(lambda: watched.parking.over(parked[0]))
    assert watched.woken == 1


def test_after_a_rest_the_loop_is_woken_for_each(watched: Watched) -> None:
    parked = [watched.add(str(number), 10.0) for number in range(4)]
    watched.parking.rest(lambda: None)
    watched.parking.over(parked[0])
    assert watched.woken == 1


def test_who_was_over_in_a_rest_without_waking_the_loop_is_found_after_it(watched: Watched) -> None:
    parked = [watched.add(str(number), 10.0) for number in range(4)]
    watched.parking.rest(lambda: watched.parking.over(parked[0]))
    assert watched.woken == 0
    assert watched.over() == ["0"]
