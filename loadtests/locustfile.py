"""What locust runs: the callers, the shape, a line of progress every two seconds, the report and the judgement.

``python -m loadtests`` starts it; with a client's credentials in LOADTEST_CLIENT_ID and LOADTEST_CLIENT_SECRET it also
works alone: ``locust -f loadtests/locustfile.py --host http://127.0.0.1:8000``.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import events, runners
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, WorkerRunner

# Locust imports this file by its path, outside the package it belongs to.
sys.path.insert(0, str(Path(__file__).parent.parent))

from loadtests.callers import Caller
from loadtests.figures import by_group, table
from loadtests.options import add_locust_arguments
from loadtests.recorder import Recorder
from loadtests.report.files import write_report
from loadtests.scenarios.batch import BatchCaller
from loadtests.scenarios.churn import ChurnCaller
from loadtests.scenarios.heavy import HeavyCaller
from loadtests.scenarios.mixed import MixedCaller
from loadtests.scenarios.row import RowCaller
from loadtests.shapes.catalogue import SHAPES
from loadtests.shapes.locust_shape import ChosenShape
from loadtests.thresholds import ShapeThreshold, read_thresholds
from loadtests.verdict import breaches, findings

__all__ = ["BatchCaller", "ChurnCaller", "HeavyCaller", "MixedCaller", "RowCaller"]

_PROGRESS_SECONDS = 2.0

recorder = Recorder()
ChosenShape.recorder = recorder
# Steps are judged as they end, so what workers have counted has to come soon.
runners.WORKER_REPORT_INTERVAL = 1.0


@events.init.add_listener  # type: ignore[untyped-decorator]
def listen(environment: Environment, **_: Any) -> None:
    """Count requests from here on."""
    environment.events.request.add_listener(recorder.count)  # type: ignore[no-untyped-call]
    environment.events.report_to_master.add_listener(recorder.send)  # type: ignore[no-untyped-call]
    environment.events.worker_report.add_listener(recorder.receive)  # type: ignore[no-untyped-call]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: ArgumentParser, **_: Any) -> None:
    add_locust_arguments(parser)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def start(environment: Environment, **_: Any) -> None:
    recorder.start(environment)
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_tell_progress, environment)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Environment, **_: Any) -> None:
    """Print the table and what breaks a threshold, write the report, and let locust exit with 1 when something does."""
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None:
        return
    environment.process_exit_code = 1  # until it is known to be otherwise: locust goes on when this function raises
    record = recorder.finished(environment.runner)
    record.facts |= facts(environment, len(record.lost_workers))
    record.errors = [
        f"{error.occurrences} times: {error.name}: {error.error}" for error in environment.stats.errors.values()
    ]
    seconds = max(1.0, record.phases[-1].ended - record.phases[0].began) if record.phases else 1.0
    print(f"\n{table(by_group(record.requests), seconds)}\n")
    for error in record.errors:
        print(f"not answered {error}")
    thresholds = read_thresholds(Path(options.thresholds))
    for finding in findings(record, thresholds.shapes.get(record.shape, ShapeThreshold())):
        print(finding.words)
    broken = breaches(
        record, thresholds, [kind.scenario for kind in environment.user_classes if issubclass(kind, Caller)]
    )
    for breach in broken:
        print(f"threshold broken: {breach}")
    print("some thresholds are broken" if broken else "all thresholds hold", flush=True)
    if options.report:
        write_report(record, thresholds, broken, Path(options.report))
    environment.process_exit_code = 1 if broken else 0


def facts(environment: Environment, lost_workers: int) -> dict[str, str]:
    """Under what circumstances the run was made."""
    options = environment.parsed_options
    assert options is not None
    workers = getattr(environment.runner, "worker_index_max", 0)
    lost = f", {lost_workers} of them lost" if lost_workers else ""
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "server": str(environment.host),
        "scenarios": ", ".join(sorted(kind.scenario for kind in environment.user_classes if issubclass(kind, Caller))),
        "load generator": f"{workers} worker processes{lost}" if workers else "one process",
        "shape": f"{options.shape}: {SHAPES[options.shape].words}",
    }


def _tell_progress(environment: Environment) -> None:
    runner = environment.runner
    assert runner is not None
    seconds = 0.0
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        if runner.state not in (STATE_INIT, STATE_SPAWNING, STATE_RUNNING):
            return
        seconds += _PROGRESS_SECONDS
        print(f"{seconds:4.0f} s  {recorder.progress(runner.user_count, time.time())}", flush=True)
