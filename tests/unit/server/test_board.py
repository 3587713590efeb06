from __future__ import annotations

import os

import pytest

from secure_ml_api.server.board import Board

# The workers of the server are forked from a process with one thread; other tests may have left threads in this one.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_what_a_forked_worker_writes_the_master_reads() -> None:
    board = Board()
    assert not board.is_serving(3)
    assert not board.has_served
    pid = os.fork()
    if pid == 0:
        board.mark_serving(3)
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.is_serving(3)
    board.clear(3)
    assert not board.is_serving(3)
    assert board.has_served


def test_stop_is_announced_to_workers_that_run_already() -> None:
    board = Board()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(read, 1)
        os._exit(7 if board.stopping else 0)
    board.announce_stop()
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.close(read)
    os.close(write)


def test_the_last_to_stop_listening_is_the_last_that_does_or_is_about_to() -> None:
    board = Board()
    for slot in (0, 1):
        board.mark_serving(slot)
    board.mark_starting(2)
    assert not board.is_serving(2)
    assert [board.stop_listening(slot) for slot in (0, 1, 2)] == [False, False, True]


def test_a_worker_that_died_while_it_started_is_waited_for_by_nobody() -> None:
    board = Board()
    board.mark_serving(0)
    board.mark_starting(1)
    board.clear(1)
    assert board.stop_listening(0)


def test_a_worker_that_leaves_asks_for_nothing_any_more() -> None:
    board = Board()
    board.mark_serving(0)
    board.ask_for_relief(0)
    assert board.asks_for_relief(0)
    board.stop_listening(0)
    board.ask_for_relief(0)
    assert not board.asks_for_relief(0)
