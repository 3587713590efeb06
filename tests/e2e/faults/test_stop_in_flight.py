"""SIGTERM while requests are being answered that take seconds: all are, and readiness goes first."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.fault_table import Figures
from support.loaded import HANGING, Loaded
from support.moved_clock import MovedClock
from support.server import RunningServer, wait_until

CALLERS = 8


def test_what_is_in_flight_at_sigterm_is_finished_and_readiness_goes_first(
    tmp_path: Path, worker_class: str, figures: Figures, full: bool
) -> None:
    takes_seconds = 5.0 if full else 3.0
    clock = MovedClock(tmp_path)
    environ = {"SECURE_ML_API_INFERENCE__MAX_CONCURRENT_RUNS": str(CALLERS), **clock.environ}
    with RunningServer(tmp_path / "home", "--workers", "2", command=HANGING, environ=environ) as running:
        server = Loaded(running)
        with ThreadPoolExecutor(CALLERS) as callers:
            asked = [callers.submit(server.ask, "slow-stuck", takes_seconds) for _ in range(CALLERS)]
            wait_until(lambda: running.metric("secure_ml_api_in_flight") == CALLERS, 10, "the requests in flight")
            told_at = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            wait_until(lambda: running.get("/v2/health/ready").status == 503, takes_seconds, "readiness 503")
            clock.move(3600)  # how long they may take is not measured on this clock
            not_ready = time.monotonic() - told_at
            assert not any(each.done() for each in asked)
            replies = [each.result() for each in asked]
        stopped = running.stop()
        gone = time.monotonic() - told_at
    figures.add(
        f"SIGTERM with {takes_seconds:g} s requests in flight ({worker_class})",
        f"{CALLERS} callers in runs of {takes_seconds:g} s when the signal comes; the clock is set meanwhile",
        f"{sum(reply.status == 200 for reply in replies)} of {CALLERS} answered, not ready after {not_ready:.2f} s, "
        f"gone after {gone:.1f} s with exit code {stopped}",
        must_hold="all finish, readiness goes first",
    )
    assert [reply.status for reply in replies] == [200] * CALLERS
    assert {reply.headers["connection"] for reply in replies} == {"close"}
    assert stopped == 0
