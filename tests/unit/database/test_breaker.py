"""One caller at a time asks a database that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from sqlalchemy.exc import DataError, OperationalError

from secure_ml_api.database.breaker import Breaker
from secure_ml_api.errors import StorageUnavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(patience_seconds=1.0, pause_seconds=0.5, clock=clock)


@pytest.fixture
def waiting() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def fail(breaker: Breaker, cause: Exception) -> None:
    with pytest.raises(StorageUnavailable), breaker.watch():
        raise StorageUnavailable("away") from cause


def away() -> Exception:
    return OperationalError("", {}, Exception())


def answered(attempt: AbstractContextManager[None]) -> bool:
    try:
        with attempt:
            return True
    except StorageUnavailable:
        return False


def test_callers_are_let_through_while_the_database_answers(breaker: Breaker) -> None:
    assert [answered(breaker.watch()) for _ in range(3)] == [True] * 3


def test_after_a_failure_nobody_waits_until_the_pause_is_over(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, away())
    assert not answered(breaker.watch())
    clock.now = 0.49
    assert not answered(breaker.watch())
    clock.now = 0.5
    assert answered(breaker.watch())
    assert answered(breaker.watch())


def test_one_caller_tries_while_the_others_are_told_at_once(breaker: Breaker, clock: Clock, waiting: ExitStack) -> None:
    fail(breaker, away())
    clock.now = 0.5
    waiting.enter_context(breaker.watch())
    assert not answered(breaker.watch())


def test_failed_try_begins_another_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, away())
    clock.now = 0.5
    fail(breaker, away())
    clock.now = 0.9
    assert not answered(breaker.watch())
    clock.now = 1.0
    assert answered(breaker.watch())


def test_statement_that_the_database_refuses_is_no_reason_to_stop_asking(breaker: Breaker) -> None:
    fail(breaker, DataError("", {}, Exception()))
    assert answered(breaker.watch())


def test_caller_that_waits_too_long_keeps_the_others_from_waiting(
    breaker: Breaker, clock: Clock, waiting: ExitStack
) -> None:
    waiting.enter_context(breaker.watch())
    clock.now = 0.9
    waiting.enter_context(breaker.watch())
    clock.now = 1.1
    assert not answered(breaker.watch())
    clock.now = 1.5  # one tries, and is answered: so the one that waits is only slow
    assert answered(breaker.watch())
    assert answered(breaker.watch())
    clock.now = 2.6
    waiting.enter_context(breaker.watch())
    assert not answered(breaker.watch())


def test_error_of_the_caller_s_own_says_nothing_about_the_database(breaker: Breaker) -> None:
    with pytest.raises(ZeroDivisionError), breaker.watch():
        raise ZeroDivisionError
    assert answered(breaker.watch())
