"""The state that workers share under ``run/`` is deleted, cut short, overwritten and filled up while they use it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.state.shared import COUNTERS_FILE, STANDING_FILE, SharedState
from support.fault_table import Figures
from support.server import RunningServer, wait_until
from support.struck import PLENTY, Struck, counted, last_trouble, serves
from support.worker_classes import Case, switch

RATE = 100
STATE_BYTES = 4 * 1024 * 1024
MUST_HOLD = "serves on within 2 s, a revoked token is let in at no moment, writes are acknowledged again"
FILES = (COUNTERS_FILE, STANDING_FILE)


@pytest.fixture(scope="module")
def whole(home_of_module: Path) -> Iterator[Struck]:
    environ = {"SECURE_ML_API_STATE__SIZE_BYTES": str(STATE_BYTES), **PLENTY}
    with RunningServer(home_of_module, "--workers", "2", environ=environ) as running:
        yield Struck(running)


@pytest.fixture
def struck(whole: Struck, case: Case) -> Struck:
    switch(whole.running, case.worker_class)
    return whole


def delete(path: Path) -> None:
    path.unlink()
    path.with_name(path.name + "-lock").unlink()


def cut(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, os.urandom(STATE_BYTES // 2), 0)
    os.close(descriptor)


def fill_up(path: Path) -> None:
    """Leave no room, in a process of its own as another program would."""
    state = SharedState(path, STATE_BYTES)
    for size_bytes in (100_000, 1000, 8):
        failures = 0
        while failures < 50:  # one that failed may give room to the next
            try:
                with state.writing("revoked") as transaction:
                    transaction.put(os.urandom(32), bytes(size_bytes))
                failures = 0
            except StorageUnavailable:
                failures += 1
    state.close()


FAULTS: dict[str, Callable[[Path], None]] = {
    "deleted": delete,
    "truncated to nothing": cut,
    "overwritten with noise": overwrite,
    "filled up": fill_up,
}


@pytest.mark.faults(*FAULTS)
def test_the_server_serves_on_and_no_revoked_token_is_let_in(
    struck: Struck, case: Case, figures: Figures, full: bool
) -> None:
    running = struck.running
    refused = True
    workers = running.worker_pids()
    with struck.load(RATE) as load:
        begun = load.now()
        for name in FILES:
            FAULTS[case.fault](running.home / "run" / name)
        until = begun + (20 if full else 2)
        while load.now() < until:
            refused &= is_refused(struck)
            time.sleep(0.02)
        wait_until(lambda: serves(load), what="predictions without trouble")
        wait_until(lambda: is_revocable(struck) or case.fault == "filled up", what="a revocation that is acknowledged")
        during = load.outcome.between(begun, load.now())
    replaced = len(workers - running.worker_pids())
    troubled = last_trouble(during, begun)
    died = f"{replaced} of 2 workers died and were replaced" if replaced else "no worker died"
    figures.add(
        f"shared state {case.fault}, counters and standing, {case.worker_class}",
        f"open loop, {RATE} predictions a second, 2 workers, for {until - begun:.0f} s",
        f"{counted(during)}; {died}; the last request in trouble came after {troubled:.2f} s",
        must_hold=MUST_HOLD,
    )
    assert refused
    assert running.process.poll() is None
    assert during.share(200) > 0.5
    assert not full or troubled < 2  # on a machine that does nothing else
    if case.fault == "filled up":
        for name in FILES:
            delete(running.home / "run" / name)
        wait_until(lambda: is_revocable(struck), what="a revocation that is acknowledged")


def is_refused(struck: Struck) -> bool:
    """Whether the revoked token is not let in; a worker that dies with the request lets nobody in either."""
    try:
        return struck.is_refused(struck.revoked)
    except OSError:
        return True


def is_revocable(struck: Struck) -> bool:
    try:
        return struck.revoke(struck.revoked) == 200
    except OSError:
        return False
