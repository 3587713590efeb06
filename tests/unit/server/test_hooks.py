"""Slots are given out lowest first and again after a death."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from secure_ml_api.server import hooks
from secure_ml_api.server.board import Board


class Master:
    """As much of gunicorn's arbiter as the hooks look at."""

    def __init__(self) -> None:
        self.dropped: list[int] = []
        self.ended: list[int] = []
        self.count_end = self.ended.append
        self.app = SimpleNamespace(board=Board(), drop_slot=self.dropped.append)
        self.WORKERS: dict[int, Any] = {}

    def spawn(self, pid: int) -> int:
        worker = SimpleNamespace(pid=pid)
        hooks.pre_fork(self, worker)
        self.WORKERS[pid] = worker
        slot: int = worker.slot
        return slot


def test_slots_are_the_lowest_free_numbers() -> None:
    master = Master()
    assert [master.spawn(pid) for pid in range(4)] == [0, 1, 2, 3]
    del master.WORKERS[1]
    assert master.spawn(10) == 1
    assert master.spawn(11) == 4


def test_slot_of_a_dead_worker_is_dropped_in_the_master() -> None:
    master = Master()
    master.spawn(1)
    hooks.child_exit(master, master.WORKERS.pop(1))
    assert (master.dropped, master.ended) == ([0], [1])


def test_worker_that_cannot_start_stops_the_server_only_before_anyone_has_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(slot: int) -> None:
        raise RuntimeError("no luck")

    board = Board()
    worker = SimpleNamespace(slot=0, app=SimpleNamespace(board=board, start_worker=fail))
    with pytest.raises(RuntimeError):
        hooks.post_worker_init(worker)
    board.mark_serving(5)
    monkeypatch.setattr("secure_ml_api.server.hooks.time.sleep", lambda _: None)
    with pytest.raises(SystemExit):
        hooks.post_worker_init(worker)
    assert not board.is_serving(0)


# A worker that serves waits in the C library, and its master tells it to go meanwhile.
_TOLD_IN_NATIVE_CODE = """
import ctypes, os, signal, threading, time
from types import SimpleNamespace
from secure_ml_api.server import hooks

signal.signal(signal.SIGTERM, lambda *_: None)
board = SimpleNamespace(mark_serving=lambda slot: None)
hooks.post_worker_init(SimpleNamespace(slot=0, app=SimpleNamespace(start_worker=lambda slot: None, board=board)))
read, write = os.pipe()
main = threading.main_thread().ident

def tell():
    for _ in range(2000):  # most of them while it waits
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(0)
    os.write(write, b"x")

waits = ctypes.CDLL(None).read
threading.Thread(target=tell).start()
print(waits(read, ctypes.create_string_buffer(1), 1))
"""


def test_a_worker_that_is_told_to_go_cuts_no_system_call_of_native_code_short() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _TOLD_IN_NATIVE_CODE], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "1\n"
