"""When the deputy takes over, and when it does not."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest

from secure_ml_api.server import deputy
from secure_ml_api.server.deputy import Deputy


class Worker:
    """One whose main thread is seen ``answering`` each of these, round by round; then it hangs in the last."""

    def __init__(self, *seen: object) -> None:
        self._seen = list(seen)
        self.rounds = 0
        self.is_deposed = False
        self.stuck: Any = None
        self.over = Event()

    @property
    def answering(self) -> object:
        self.rounds += 1
        return self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]

    def take_over(self, stuck: Any) -> None:
        self.stuck = stuck
        self.over.set()


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deputy, "_ROUND_SECONDS", 0.001)


def taken_over(worker: Any) -> Worker:
    Deputy(worker).start()
    assert worker.over.wait(10)
    found: Worker = worker
    return found


def test_an_answer_that_is_seen_in_round_after_round_costs_the_main_thread_its_work() -> None:
    hangs = object()
    worker = taken_over(Worker(None, hangs))
    assert (worker.stuck, worker.is_deposed) == (hangs, True)


def test_answers_that_come_to_their_ends_are_left_alone_however_many_there_are() -> None:
    hangs = object()
    worker = taken_over(Worker(*[object() for _ in range(50)], None, None, hangs))
    assert worker.stuck is hangs
    assert worker.rounds > 53


def test_a_main_thread_that_comes_back_at_the_last_moment_keeps_its_work() -> None:
    slow, hangs = object(), object()
    seven = [slow] * 7
    worker = taken_over(Worker(*seven, None, None, hangs))
    assert worker.stuck is hangs
