"""Run the scenarios: start a server if none is named, register a client, let locust loose, and judge.

Locust runs in a process of its own, because importing it patches the standard library.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .command_line import read_options
from .handover import CLIENT_ID, CLIENT_SECRET
from .locust_command import master_command, worker_command
from .server import LoadtestError, free_ports, is_ready, registered_client, running_server
from .server_processes import pid_of
from .thresholds import ThresholdsError, read_thresholds

# Locust writes its report when it is told to stop; who cannot wait for it asks a second time.
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """The server to load, and a client of it; ``pid`` is 0 when it is not known to run on this machine."""

    url: str
    client_id: str
    client_secret: str
    pid: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when all thresholds hold, 1 when one is broken or nothing could be measured, 2 on bad usage."""
    options = read_options(arguments, main.__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server that was started is stopped
    try:
        if options.join:
            return _run(worker_command(options), {})
        read_thresholds(options.thresholds)
        options.reports.mkdir(parents=True, exist_ok=True)
        with _target(options) as target:
            return _conduct(options, target)
    except (LoadtestError, ThresholdsError, OSError) as error:
        print(f"loadtests: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[Target]:
    """The server to load, which lasts as long as the block."""
    with ExitStack() as stack:
        home: Path | None = options.home
        url, pid = options.host, pid_of(home) if home else 0
        if url is None:
            if home is None:
                home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-"))) / "home"
            print(f"starting a server on {options.home or 'a new home, which trains the example models'} …", flush=True)
            url, pid = stack.enter_context(running_server(home, options.reports / "server.log"))
        elif not is_ready(url):
            raise LoadtestError(f"{url} is not ready; start the server, or leave --host out to have one started")
        if home is None:
            yield Target(url, os.environ.get(CLIENT_ID, ""), os.environ.get(CLIENT_SECRET, ""))
        else:
            yield Target(url, *stack.enter_context(registered_client(home)), pid)


def _conduct(options: argparse.Namespace, target: Target) -> int:
    print(f"{options.shape}: {', '.join(options.scenario)} against {target.url}", flush=True)
    if options.expect_workers:
        print(
            f"waiting for {options.expect_workers} workers: on their machines, with {CLIENT_ID} and {CLIENT_SECRET} "
            f"set, python -m loadtests --join THIS-MACHINE:{options.bind.rpartition(':')[2]}",
            flush=True,
        )
    (free_port,) = free_ports(1)
    command = master_command(options, target.url, target.pid, free_port)
    code = _run(command, {CLIENT_ID: target.client_id, CLIENT_SECRET: target.client_secret})
    print(f"reports: {options.reports / 'loadtest.html'}, {options.reports / 'loadtest_stats.csv'}", flush=True)
    return 0 if code == 0 else 1


def _run(command: Sequence[str], secrets: Mapping[str, str]) -> int:
    """Run locust, and end all its processes whatever happens here."""
    environ = {**os.environ, **secrets}
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return process.wait()
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
