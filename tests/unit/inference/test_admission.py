"""So many runs at once, so many waiting, the rest refused at once; every place comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import Barrier, Event, Lock, Thread

import pytest

from secure_ml_api.errors import DeadlineExceeded, Overloaded
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline

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
