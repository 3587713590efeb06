"""So many runs at once, so many waiting, the rest refused at once; every place comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from threading import Barrier, Event, Lock, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import DeadlineExceeded, Overloaded
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.ticket import Standing, Ticket
from secure_ml_api.setting_sections import InferenceSettings, ServerSettings

LONG = 60.0


def started(work: Callable[[], None]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds, looking again every few milliseconds, for ten seconds at most."""
    pause = Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it never came to that")


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


class Crowd:
    """Callers of one admission, each in its own thread, who write down in which order they got a place."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.seated: list[str] = []
        self.refused: list[str] = []
        self._threads: list[Thread] = []

    def queue(
        self, name: str, kind: object | None = None, rows: int = 1, seconds: float = LONG, client: str = ""
    ) -> Ticket:
        """A caller who stands in the line, or has got further already."""
        ticket = Ticket(Deadline.after(seconds), kind, rows)
        ticket.client = client
        waiting = self.admission.waiting

        def work() -> None:
            try:
                if self.admission.enter(ticket):
                    self.seated.append(name)
                    self.admission.leave()
            except DeadlineExceeded:
                self.refused.append(name)

        self._threads.append(started(work))
        until(lambda: self.admission.waiting > waiting or ticket.standing is not Standing.WAITING)
        return ticket

    def disperse(self) -> None:
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()


def leading(admission: Admission, kind: object, rows: int = 1) -> Ticket:
    leader = Ticket(Deadline.after(LONG), kind, rows)
    assert admission.enter(leader)
    return leader


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


def test_company_is_taken_in_order_as_far_as_the_rows_go_and_no_smaller_one_goes_first() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree", rows=2)
    sizes = [("a", "tree", 3), ("b", "forest", 1), ("c", "tree", 4), ("d", "tree", 2), ("e", "tree", 1)]
    tickets = {name: crowd.queue(name, kind, rows) for name, kind, rows in sizes}
    company = admission.company(leader, 10)
    assert company == [tickets["a"], tickets["c"]]
    assert admission.waiting == 3
    admission.leave()
    admission.serve(company)
    crowd.disperse()
    assert crowd.seated == ["b", "d", "e"]
    assert [tickets[name].standing for name in "ac"] == [Standing.SERVED, Standing.SERVED]


def test_kinds_are_told_apart_by_identity_and_none_goes_with_nobody() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, kind := frozenset("tree"))
    for name, other in (("a", frozenset("tree")), ("b", None)):
        crowd.queue(name, other)
    same = crowd.queue("c", kind)
    assert admission.company(leader, 10) == [same]
    admission.serve([same])
    admission.leave()
    crowd.disperse()
    assert crowd.seated == ["a", "b"]


def test_who_is_late_is_not_taken_along() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    late, good = crowd.queue("a", "tree"), crowd.queue("b", "tree")
    late.deadline = Deadline.after(-1.0)
    assert admission.company(leader, 10) == [good]
    admission.serve([good])
    admission.leave()
    crowd.disperse()
    assert crowd.refused == ["a"]


def test_who_is_late_when_its_turn_comes_is_passed_over() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    with admission.admitted(Deadline.after(LONG)):
        late, _ = crowd.queue("a"), crowd.queue("b")
        late.deadline = Deadline.after(-1.0)
    crowd.disperse()
    assert (crowd.refused, crowd.seated) == (["a"], ["b"])


def test_company_that_is_sent_back_comes_first_in_its_order_and_goes_alone() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    for name, kind in (("a", "tree"), ("b", "forest"), ("c", "tree")):
        crowd.queue(name, kind)
    company = admission.company(leader, 10)
    crowd.queue("d", "tree")
    admission.send_back(company)
    assert [ticket.kind for ticket in company] == [None, None]
    admission.leave()
    crowd.disperse()
    assert crowd.seated == ["a", "c", "b", "d"]


def test_company_that_is_sent_back_takes_the_places_that_are_free() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    crowd.queue("a", "tree")
    company = admission.company(leader, 10)
    admission.leave()
    admission.send_back(company)
    crowd.disperse()
    assert crowd.seated == ["a"]


def test_who_gave_up_in_another_s_run_is_neither_served_nor_sent_back() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    gone = crowd.queue("a", "tree")
    company = admission.company(leader, 10)
    admission._give_up(gone)
    admission.serve(company)
    admission.send_back(company)
    assert gone.standing is Standing.LATE
    assert admission.waiting == 0
    gone.gate.release()
    admission.leave()
    crowd.disperse()
    assert crowd.refused == ["a"]


def test_whoever_gives_up_with_a_place_in_hand_passes_it_on() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    holder = leading(admission, "tree")
    crowd.queue("a", "forest")
    admission._give_up(holder)
    crowd.disperse()
    assert crowd.seated == ["a"]
    assert admission._free == 1


def test_whoever_lingers_keeps_nobody_else_from_a_free_place() -> None:
    admission = Admission(2, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    taken: list[list[Ticket]] = []
    lingering = started(lambda: taken.append(admission.company(leader, 2, LONG)))
    until(lambda: "tree" in admission._lingering)
    other = Ticket(Deadline.after(LONG), "forest")
    assert admission.enter(other)
    company = crowd.queue("a", "tree")
    lingering.join(LONG)
    assert taken == [[company]]
    admission.serve(taken[0])
    admission.leave()
    admission.leave()
    crowd.disperse()
    assert admission._free == 2


def test_those_who_do_not_fit_a_run_that_lingered_take_the_free_places() -> None:
    admission = Admission(2, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    taken: list[list[Ticket]] = []
    lingering = started(lambda: taken.append(admission.company(leader, 3, LONG)))
    until(lambda: "tree" in admission._lingering)
    crowd.queue("big", "tree", rows=3)
    lingering.join(LONG)
    crowd.disperse()
    assert (taken, crowd.seated) == ([[]], ["big"])
    admission.leave()
    assert admission._free == 2
