"""So many runs at once, so many waiting, the rest refused at once; every place comes back."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from threading import Barrier, Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import DeadlineExceeded, Overloaded
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.ticket import Standing, Ticket
from secure_ml_api.setting_sections import InferenceSettings, ServerSettings
from support.gated import until
from support.queueing import LONG, Crowd, leading, started


def test_a_crowd_that_comes_again_before_its_last_requests_are_over_is_taken_by_default() -> None:
    admission, crowd = Admission(1, InferenceSettings().max_waiting), ServerSettings().threads
    for _ in range(2 * crowd):  # those that hung up are still in the line
        admission.line_up(Ticket(Deadline.after(LONG), kind=admission))
    assert admission.waiting == 2 * crowd - 1


def test_as_many_run_at_once_as_there_are_places() -> None:
    admission = Admission(2, 0)
    with ExitStack() as running:
        for _ in range(2):
            running.enter_context(admission.admitted(Deadline.after(LONG)))
        with pytest.raises(Overloaded):
            running.enter_context(admission.admitted(Deadline.after(LONG)))
    with admission.admitted(Deadline.after(LONG)):
        pass


def test_one_that_waits_goes_in_when_a_place_comes_free() -> None:
    admission = Admission(1, 1)
    entered = Event()

    def wait() -> None:
        with admission.admitted(Deadline.after(LONG)):
            entered.set()

    with admission.admitted(Deadline.after(LONG)):
        thread = started(wait)
        until(lambda: admission.waiting == 1)
        assert not entered.is_set()
    assert entered.wait(LONG)
    thread.join(LONG)
    assert admission.waiting == 0


def test_more_than_may_wait_are_refused_and_those_who_wait_are_not() -> None:
    admission = Admission(1, 1)
    entered = Event()

    def wait() -> None:
        with admission.admitted(Deadline.after(LONG)):
            entered.set()

    with admission.admitted(Deadline.after(LONG)):
        thread = started(wait)
        until(lambda: admission.waiting == 1)
        with pytest.raises(Overloaded), admission.admitted(Deadline.after(LONG)):
            pytest.fail("a second was let wait")
    assert entered.wait(LONG)
    thread.join(LONG)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -5.0])
def test_waiting_ends_with_the_deadline_and_leaves_no_trace(seconds: float) -> None:
    admission = Admission(1, 1)
    with admission.admitted(Deadline.after(LONG)):
        for _ in range(3):
            with pytest.raises(DeadlineExceeded), admission.admitted(Deadline.after(seconds)):
                pytest.fail("it was let in")
    with admission.admitted(Deadline.after(LONG)):
        assert admission.waiting == 0


@pytest.mark.parametrize("failure", [ValueError, SystemExit, Overloaded])
def test_a_run_that_raises_gives_its_place_back(failure: type[BaseException]) -> None:
    admission = Admission(1, 0)
    with pytest.raises(failure), admission.admitted(Deadline.after(LONG)):
        raise failure("x")
    with admission.admitted(Deadline.after(LONG)):
        pass


def test_never_more_run_at_once_than_allowed_whatever_the_crowd() -> None:
    admission = Admission(3, 50)
    crowd = Barrier(16)
    lock = Lock()
    running = most = done = 0

    def work() -> None:
        nonlocal running, most, done
        crowd.wait(LONG)
        for _ in range(50):
            with admission.admitted(Deadline.after(LONG)):
                with lock:
                    running += 1
                    most = max(most, running)
                with lock:
                    running -= 1
                    done += 1

    threads = [started(work) for _ in range(16)]
    for thread in threads:
        thread.join(LONG)
    assert (done, running) == (800, 0)
    assert 1 <= most <= 3
    assert admission.waiting == 0


def test_places_are_handed_on_in_the_order_of_arrival() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    with admission.admitted(Deadline.after(LONG)):
        for name in "abcdef":
            crowd.queue(name)
    crowd.disperse()
    assert "".join(crowd.seated) == "abcdef"


def test_clients_take_turns_and_of_one_client_who_came_first_goes_first() -> None:
    admission = Admission(1, 20)
    crowd = Crowd(admission)
    leading(admission, None)
    for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1", "a5"):
        crowd.queue(name, client=name[0])
    admission.leave()
    crowd.disperse()
    assert crowd.seated == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]


def test_a_client_who_comes_while_another_fills_the_line_waits_for_one_run_of_it() -> None:
    admission = Admission(1, 20)
    crowd = Crowd(admission)
    leading(admission, None)
    for number in range(6):
        crowd.queue(f"a{number}", client="a")
    modest = crowd.queue("b0", client="b")
    assert [ticket is modest for ticket in admission._line].index(True) == 1
    admission.leave()
    crowd.disperse()


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_no_client_is_more_than_a_turn_ahead_of_another_that_waits(arrivals: list[str]) -> None:
    admission = Admission(1, 100)
    for client in arrivals:
        ticket = Ticket(Deadline.after(LONG))
        ticket.client = client
        admission._queue(ticket)
    order = [ticket.client for ticket in admission._line]
    for at in range(len(order)):
        gone, waiting = Counter(order[:at]), set(order[at:])
        assert all(gone[ahead] - gone[behind] <= 1 for ahead in gone for behind in waiting)
    assert sorted(order) == sorted(arrivals)


def test_nobody_who_comes_now_passes_those_who_wait() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    first = crowd.queue("a", kind="forest")
    with admission._lock:  # the place comes free, and before the one who waits has noticed there comes another
        admission._free += 1
        admission._seat()
        assert admission._free == 0
    assert first.standing is Standing.SEATED
    assert leader.standing is Standing.SEATED
    crowd.disperse()
    assert crowd.seated == ["a"]


def test_who_is_late_when_its_turn_comes_is_passed_over() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    with admission.admitted(Deadline.after(LONG)):
        late, _ = crowd.queue("a"), crowd.queue("b")
        late.deadline = Deadline.after(-1.0)
    crowd.disperse()
    assert (crowd.refused, crowd.seated) == (["a"], ["b"])


def test_whoever_gives_up_with_a_place_in_hand_passes_it_on() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    holder = leading(admission, "tree")
    crowd.queue("a", "forest")
    admission._give_up(holder)
    crowd.disperse()
    assert crowd.seated == ["a"]
    assert admission._free == 1
