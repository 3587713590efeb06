"""Locust's command line, made from that of ``python -m loadtests``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .command_line import SCENARIOS

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_LOCUST = [sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE), "--headless", "--skip-log-setup"]


def master_command(options: argparse.Namespace, url: str, server_pid: int, free_port: int) -> list[str]:
    """The process that conducts the run; workers of this machine meet it at ``free_port``."""
    report = options.reports / "loadtest"
    command = [*_LOCUST, "--host", url, "--stop-timeout", "30", "--csv", str(report)]
    # Locust's own tables every two seconds are replaced by one line of progress and one table; see locustfile.py.
    command += ["--only-summary", "--report", str(options.reports), "--server-pid", str(server_pid)]
    command += ["--shape", options.shape, "--thresholds", str(options.thresholds)]
    command += ["--most-users", str(options.users), "--stage-seconds", str(options.seconds)]
    command += ["--start-rate", str(options.spawn_rate), "--growth", str(options.growth), "--times", str(options.times)]
    if options.pace is not None:
        command += ["--pace", str(options.pace)]
    if options.workers:
        command += ["--processes", str(options.workers), "--master-bind-host", "127.0.0.1"]
        command += ["--master-bind-port", str(free_port), "--master-port", str(free_port)]
    elif options.expect_workers:
        address, _, port = options.bind.rpartition(":")
        command += ["--master", "--expect-workers", str(options.expect_workers)]
        command += ["--master-bind-host", address or "*", "--master-bind-port", port]
    return command + [SCENARIOS[scenario] for scenario in options.scenario]


def worker_command(options: argparse.Namespace) -> list[str]:
    """Processes that send requests for a run that another machine conducts, which tells them everything else."""
    address, _, port = options.join.rpartition(":")
    command = [*_LOCUST, "--worker", "--master-host", address, "--master-port", port]
    return command + (["--processes", str(options.workers)] if options.workers else [])
