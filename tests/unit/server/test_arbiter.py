"""The master: which workers it keeps."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from secure_ml_api.server.arbiter import ServerArbiter
from secure_ml_api.server.board import Board


@pytest.mark.parametrize(("serving", "leaves"), [({0}, 11), ({1}, 10), ({0, 1}, 10)])
def test_of_too_many_workers_those_go_first_that_do_not_serve_and_then_the_oldest(
    serving: set[int], leaves: int
) -> None:
    board, told = Board(), []
    for slot in (0, 1):
        board.mark_starting(slot)
    for slot in serving:
        board.mark_serving(slot)
    arbiter = object.__new__(ServerArbiter)
    arbiter.app = SimpleNamespace(board=board, certificates=None)
    arbiter.WORKERS = {10: SimpleNamespace(slot=0, age=1), 11: SimpleNamespace(slot=1, age=2)}
    arbiter._num_workers, arbiter._retiring = 1, {}
    arbiter.kill_worker = lambda pid, sign: told.append((pid, sign))
    arbiter.manage_workers()
    assert told == [(leaves, signal.SIGTERM)]
