"""The master: which workers it keeps, looked at once after the other as its loop does."""

from __future__ import annotations

import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter

from secure_ml_api.server.arbiter import ServerArbiter
from secure_ml_api.server.board import Board

START_SECONDS = 300.0


class Configurations:
    """The application of the master: whether new settings are good, and which were kept or given up."""

    def __init__(self) -> None:
        self.board = Board()
        self.certificates = None
        self.settings = SimpleNamespace(server=SimpleNamespace(start_timeout_seconds=START_SECONDS))
        self.told: list[str] = []

    def renew(self) -> bool:
        self.told.append("renew")
        return True

    def keep(self) -> None:
        self.told.append("keep")

    def revert(self) -> None:
        self.told.append("revert")


class Master(ServerArbiter):
    """The arbiter without processes: its workers are numbers, and come, serve and go when the test says so."""

    def __init__(self, workers: int) -> None:
        self.app = Configurations()
        self._num_workers = workers
        self.WORKERS: dict[int, Any] = {}
        self._retiring: dict[int, str] = {}
        self._recruits: set[int] = set()
        self._is_asked_again = False
        self.timeout = 30
        self.told: list[tuple[int, signal.Signals]] = []
        self.manage_workers()
        self.serve(*self.WORKERS)

    def setup(self, app: Any) -> None:
        pass

    def spawn_worker(self) -> int:
        slot = self.worker_age
        self.worker_age += 1
        self.app.board.mark_starting(slot)
        tmp = SimpleNamespace(last_update=time.time)  # as of a file that nobody has touched since it was made
        self.WORKERS[10 + slot] = SimpleNamespace(
            slot=slot, age=slot, begun_at=time.monotonic(), aborted=False, tmp=tmp
        )
        return 10 + slot

    def kill_worker(self, pid: int, sign: signal.Signals) -> None:
        self.told.append((pid, sign))

    def serve(self, *pids: int) -> None:
        for pid in pids:
            self.app.board.mark_serving(self.WORKERS[pid].slot)

    def lose(self, pid: int) -> None:
        del self.WORKERS[pid]

    def tire(self, pid: int) -> None:
        self.app.board.ask_for_relief(self.WORKERS[pid].slot)

    worker_age = 0


@pytest.mark.parametrize(("serving", "leaves"), [({10}, 11), ({11}, 10), ({10, 11}, 10)])
def test_of_too_many_workers_those_go_first_that_do_not_serve_and_then_the_oldest(
    serving: set[int], leaves: int
) -> None:
    master = Master(0)
    master._num_workers = 2
    master.manage_workers()
    master.serve(*serving)
    master._num_workers = 1
    master.manage_workers()
    assert master.told == [(leaves, signal.SIGTERM)]


def test_worker_that_asks_for_relief_stays_until_another_serves() -> None:
    master = Master(2)
    master.tire(10)
    for _ in range(3):
        master.manage_workers()
    assert master.WORKERS.keys() == {10, 11, 12}
    assert not master.told
    master.serve(12)
    master.manage_workers()
    assert master.told == [(10, signal.SIGTERM)]


def test_worker_that_dies_while_another_is_relieved_is_replaced_at_once() -> None:
    master = Master(2)
    master.tire(10)
    master.manage_workers()
    master.lose(11)
    master.manage_workers()
    assert master.WORKERS.keys() == {10, 12, 13}
    master.serve(12)
    master.manage_workers()
    assert not master.told, "two are wanted, and the third does not serve yet"
    master.serve(13)
    master.manage_workers()
    assert master.told == [(10, signal.SIGTERM)]


def test_old_workers_leave_when_all_of_a_new_configuration_serve() -> None:
    master = Master(2)
    master.reload()
    master.manage_workers()
    master.serve(12)
    master.manage_workers()
    assert not master.told
    master.serve(13)
    master.manage_workers()
    assert sorted(master.told) == [(10, signal.SIGTERM), (11, signal.SIGTERM)]
    assert master.app.told == ["renew", "keep"]


def test_new_workers_leave_when_one_of_them_is_gone_before_all_serve() -> None:
    master = Master(2)
    master.reload()
    master.serve(12)
    master.lose(13)
    master.manage_workers()
    assert master.told == [(12, signal.SIGTERM)]
    assert master.app.told == ["renew", "revert"]


def test_worker_that_died_during_a_reload_that_is_refused_is_replaced_then() -> None:
    master = Master(2)
    master.reload()
    master.lose(10)
    master.manage_workers()
    assert master.WORKERS.keys() == {11, 12, 13}
    master.lose(13)
    master.manage_workers()
    assert master.WORKERS.keys() - master._retiring.keys() == {11, 14}


def test_reload_during_a_reload_follows_it() -> None:
    master = Master(1)
    for _ in range(3):
        master.reload()
    assert master.WORKERS.keys() == {10, 11}
    master.serve(11)
    master.manage_workers()
    assert master.app.told == ["renew", "keep", "renew"]
    assert master.told == [(10, signal.SIGTERM)]
    master.serve(12)
    master.manage_workers()
    assert master.app.told == ["renew", "keep", "renew", "keep"]
    assert master.told == [(10, signal.SIGTERM), (11, signal.SIGTERM)]


def test_reload_during_a_relief_replaces_who_asked_for_it_and_who_was_on_the_way() -> None:
    master = Master(2)
    master.tire(10)
    master.manage_workers()
    master.reload()
    master.serve(12, 13, 14)
    master.manage_workers()
    assert sorted(master.told) == [(pid, signal.SIGTERM) for pid in (10, 11, 12)]
    assert master.app.told == ["renew", "keep"]


def test_worker_that_does_not_begin_to_serve_in_its_time_is_killed_once_and_one_that_serves_is_not() -> None:
    master = Master(2)
    master.tire(10)
    master.manage_workers()
    for worker in master.WORKERS.values():
        worker.begun_at -= START_SECONDS + 1
    for _ in range(3):
        master.murder_workers()
    assert master.told == [(12, signal.SIGKILL)]


def test_master_looks_again_soon_while_a_worker_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Arbiter, "wait_for_signals", lambda _, seconds: waits.append(seconds))
    master = Master(1)
    master.wait_for_signals()
    master.tire(10)
    master.manage_workers()
    master.wait_for_signals()
    assert waits == [1.0, 0.05]
