"""What locust runs: the callers, a line of progress every two seconds, and the judgement at the end.

``python -m loadtests`` starts it; with a client's credentials in LOADTEST_CLIENT_ID and LOADTEST_CLIENT_SECRET it also
works alone: ``locust -f loadtests/locustfile.py --host http://127.0.0.1:8000``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import events
from locust.env import Environment
from locust.runners import STATE_STOPPED, STATE_STOPPING, WorkerRunner

# Locust imports this file by its path, outside the package it belongs to.
sys.path.insert(0, str(Path(__file__).parent.parent))

from loadtests.callers import Caller
from loadtests.figures import Figures, by_group, table
from loadtests.handover import THRESHOLDS
from loadtests.scenarios.batch import BatchCaller
from loadtests.scenarios.churn import ChurnCaller
from loadtests.scenarios.mixed import MixedCaller
from loadtests.scenarios.row import RowCaller
from loadtests.thresholds import DEFAULT_FILE, read_thresholds

__all__ = ["BatchCaller", "ChurnCaller", "MixedCaller", "RowCaller"]

_PROGRESS_SECONDS = 2.0


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def start_progress(environment: Environment, **_: Any) -> None:
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_tell_progress, environment)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Environment, **_: Any) -> None:
    """Print the table and what breaks a threshold, and let locust exit with 1 when something does."""
    if isinstance(environment.runner, WorkerRunner):
        return
    figures = [
        Figures(entry.name, entry.num_requests, entry.num_failures, dict(entry.response_times))
        for entry in environment.stats.entries.values()
    ]
    total = environment.stats.total
    seconds = max(1.0, (total.last_request_timestamp or total.start_time) - total.start_time)
    print(f"\n{table(by_group(figures), seconds)}\n")
    for error in environment.stats.errors.values():
        print(f"failed {error.occurrences} times: {error.name}: {error.error}")
    thresholds = read_thresholds(Path(os.environ.get(THRESHOLDS, DEFAULT_FILE)))
    breaches = thresholds.breaches(
        figures, [kind.scenario for kind in environment.user_classes if issubclass(kind, Caller)]
    )
    for breach in breaches:
        print(f"threshold broken: {breach}")
    print("some thresholds are broken" if breaches else "all thresholds hold", flush=True)
    environment.process_exit_code = 1 if breaches else 0


def _tell_progress(environment: Environment) -> None:
    runner, total = environment.runner, environment.stats.total
    assert runner is not None
    seconds = 0.0
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        if runner.state in (STATE_STOPPING, STATE_STOPPED):
            return
        seconds += _PROGRESS_SECONDS
        p95_ms = total.get_current_response_time_percentile(0.95) or 0
        print(
            f"{seconds:4.0f} s  {runner.user_count} callers  {total.num_requests} requests  "
            f"{total.current_rps:.0f} per second  {total.num_failures} failed  p95 {p95_ms:.0f} ms",
            flush=True,
        )
