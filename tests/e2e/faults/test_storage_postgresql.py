"""PostgreSQL, where several machines keep what must not be lost, goes away in every way that it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.postgres_server import PostgresServer
from support.server import RunningServer, command_line
from support.struck import PLENTY, Struck, Writes, counted, strike
from support.unreliable_proxy import UnreliableProxy
from support.worker_classes import Case, switch

RATE = 100
MUST_HOLD = "writes 503, predictions go on, nothing acknowledged is lost"


class Town:
    """A server whose database is a PostgreSQL behind a proxy."""

    def __init__(self, struck: Struck, postgres: PostgresServer, proxy: UnreliableProxy) -> None:
        self.struck, self.postgres, self.proxy = struck, postgres, proxy


@pytest.fixture(scope="module")
def whole(home_of_module: Path, postgres: PostgresServer) -> Iterator[Town]:
    with UnreliableProxy(postgres.port) as proxy, pytest.MonkeyPatch.context() as patch:
        url = postgres.new_database().replace(str(postgres.port), str(proxy.port))
        patch.setenv("SECURE_ML_API_DATABASE__URL", url)
        patch.setenv("SECURE_ML_API_DATABASE__TIMEOUT_SECONDS", "0.5")
        command_line(home_of_module, "init", "--no-examples")
        with RunningServer(home_of_module, "--workers", "2", environ=PLENTY) as running:
            yield Town(Struck(running), postgres, proxy)


@pytest.fixture
def town(whole: Town, case: Case) -> Town:
    switch(whole.struck.running, case.worker_class)
    return whole


@contextmanager
def stopped(town: Town) -> Iterator[None]:
    town.postgres.stop()
    try:
        yield
    finally:
        town.postgres.start()


@contextmanager
def frozen(town: Town) -> Iterator[None]:
    town.postgres.freeze()
    try:
        yield
    finally:
        town.postgres.thaw()


FAULTS: dict[str, Callable[[Town], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "frozen (SIGSTOP)": frozen,
    "cut off, every connection reset": lambda town: town.proxy.resetting(),
    "behind a line that passes nothing on": lambda town: town.proxy.frozen(),
}


@pytest.mark.faults(*FAULTS)
def test_predictions_go_on_and_nothing_acknowledged_is_lost(
    town: Town, case: Case, figures: Figures, full: bool
) -> None:
    struck = town.struck
    seconds = 20.0 if full else 3.0
    with struck.load(RATE) as load, Writes(struck, 200 if full else 16) as writes:
        writes.succeed()
        blow = strike(load, lambda: FAULTS[case.fault](town), seconds, lambda: 503 in writes.statuses)
        writes.succeed()
        recovered = load.now() - blow.ended
    during = load.outcome.between(blow.begun, blow.ended)
    figures.add(
        f"PostgreSQL {case}",
        f"open loop, {RATE} predictions a second, 2 workers, 4 callers who revoke tokens, for {seconds:.0f} s of it",
        f"{counted(during)}; {writes.told()}; written again after {recovered:.1f} s",
        must_hold=MUST_HOLD,
    )
    assert set(load.outcome.statuses()) == {200}
    assert set(writes.statuses) == {200, 503}
    assert writes.lost() == 0
    assert struck.is_refused(struck.revoked)


@pytest.mark.faults("behind a line that takes 0.1 s there and back")
def test_slow_line_slows_writes_alone(town: Town, case: Case, figures: Figures, full: bool) -> None:
    struck = town.struck
    seconds = 20.0 if full else 2.0
    with struck.load(RATE) as load, Writes(struck, 200 if full else 16) as writes:
        blow = strike(load, lambda: town.proxy.slow(0.05), seconds)  # there and back
        writes.succeed()
    during = load.outcome.between(blow.begun, blow.ended)
    figures.add(
        f"PostgreSQL {case}",
        f"open loop, {RATE} predictions a second, 2 workers, 4 callers who revoke tokens, for {seconds:.0f} s of it",
        f"{counted(during)}; {writes.told()}",
        must_hold=MUST_HOLD,
    )
    assert set(load.outcome.statuses()) == {200}
    assert writes.lost() == 0


def test_the_audit_trail_of_a_server_that_went_through_all_of_it_is_whole(whole: Town) -> None:
    running = whole.struck.running
    assert running.stop() == 0
    assert command_line(running.home, "audit", "verify")["ok"]
