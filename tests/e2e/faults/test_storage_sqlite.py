"""The database in the home is locked, read-only, on a full disk and lost while the server serves."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.needs import program
from support.server import SERVE, RunningServer, command_line
from support.struck import PLENTY, Struck, Writes, counted, strike
from support.worker_classes import Case, switch

RATE = 100
MUST_HOLD = "writes 503, predictions go on, nothing acknowledged is lost"


@pytest.fixture(scope="module")
def whole(home_of_module: Path) -> Iterator[Struck]:
    """A server without the powers of root, which may write to what is read-only."""
    powerless = [program("setpriv", "util-linux"), "--bounding-set", "-all", "--inh-caps", "-all", "--"]
    command = (*powerless, *SERVE) if os.geteuid() == 0 else SERVE
    environ = {"SECURE_ML_API_DATABASE__TIMEOUT_SECONDS": "0.5", **PLENTY}
    with RunningServer(home_of_module, "--workers", "2", environ=environ, command=command) as running:
        yield Struck(running)


@pytest.fixture
def struck(whole: Struck, case: Case) -> Struck:
    switch(whole.running, case.worker_class)
    return whole


@contextmanager
def locked(running: RunningServer) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(running.home / "data.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full_disk(running: RunningServer) -> Iterator[None]:
    """No process of the server can make a file longer, or write to one at all."""
    limits = {
        pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in [running.process.pid, *running.worker_pids()]
    }
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


@contextmanager
def read_only(running: RunningServer) -> Iterator[None]:
    """Database and home may be read and not written, as on a file system that was mounted anew after an error."""
    changed = [*running.home.glob("data.db*"), running.home]
    modes = {path: path.stat().st_mode for path in changed}
    for path in changed:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        running.reload()  # who has a file open can go on writing to it: workers that open it now cannot
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def lost(running: RunningServer) -> Iterator[None]:
    """The files are gone; afterwards they are back."""
    home = running.home
    away = home / "away"
    away.mkdir()
    for path in home.glob("data.db*"):
        path.rename(away / path.name)
    try:
        yield
    finally:
        for path in away.iterdir():
            path.rename(home / path.name)
        away.rmdir()


FAULTS: dict[str, Callable[[RunningServer], AbstractContextManager[None]]] = {
    "locked by another program": locked,
    "read-only": read_only,
    "on a full disk": full_disk,
    "gone": lost,
}


@pytest.mark.faults(*FAULTS)
def test_predictions_go_on_and_nothing_acknowledged_is_lost(
    struck: Struck, case: Case, figures: Figures, full: bool
) -> None:
    running = struck.running
    seconds = 20.0 if full else 1.5
    with struck.load(RATE) as load, Writes(struck, 200 if full else 16) as writes:
        writes.succeed()
        blow = strike(load, lambda: FAULTS[case.fault](running), seconds, lambda: 503 in writes.statuses)
        writes.succeed()
        recovered = load.now() - blow.ended
    during = load.outcome.between(blow.begun, blow.ended)
    figures.add(
        f"SQLite {case}",
        f"open loop, {RATE} predictions a second, 2 workers, 4 callers who revoke tokens, for {seconds:.0f} s of it",
        f"{counted(during)}; {writes.told()}; written again after {recovered:.1f} s",
        must_hold=MUST_HOLD,
    )
    assert set(load.outcome.statuses()) == {200}
    assert set(writes.statuses) == {200, 503}
    assert writes.lost() == 0
    assert struck.is_refused(struck.revoked)


def test_the_audit_trail_of_a_server_that_went_through_all_of_it_is_whole(whole: Struck) -> None:
    running = whole.running
    assert running.stop() == 0
    assert command_line(running.home, "audit", "verify")["ok"]
