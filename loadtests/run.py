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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .handover import CLIENT_ID, CLIENT_SECRET, THRESHOLDS
from .server import LoadtestError, is_ready, registered_client, running_server
from .thresholds import DEFAULT_FILE, ThresholdsError, read_thresholds

SCENARIOS = {"row": "RowCaller", "batch": "BatchCaller", "mixed": "MixedCaller", "churn": "ChurnCaller"}

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when all thresholds hold, 1 when one is broken or nothing could be measured, 2 on bad usage."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server that was started is stopped
    try:
        read_thresholds(options.thresholds)
        options.reports.mkdir(parents=True, exist_ok=True)
        with _target(options) as (url, client_id, client_secret):
            return _run_locust(options, url, client_id, client_secret)
    except (LoadtestError, ThresholdsError, OSError) as error:
        print(f"loadtests: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """URL, client id and client secret of the server to load, which lasts as long as the block."""
    with ExitStack() as stack:
        home: Path | None = options.home
        url = options.host
        if url is None:
            if home is None:
                home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-"))) / "home"
            print(f"starting a server on {options.home or 'a new home, which trains the example models'} …", flush=True)
            url = stack.enter_context(running_server(home, options.reports / "server.log"))
        elif not is_ready(url):
            raise LoadtestError(f"{url} is not ready; start the server, or leave --host out to have one started")
        if home is None:
            yield url, os.environ[CLIENT_ID], os.environ[CLIENT_SECRET]
        else:
            yield url, *stack.enter_context(registered_client(home))


def _run_locust(options: argparse.Namespace, url: str, client_id: str, client_secret: str) -> int:
    report = options.reports / "loadtest"
    command = [sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE), "--headless", "--host", url]
    command += ["--users", str(options.users), "--spawn-rate", str(options.spawn_rate)]
    command += ["--run-time", f"{options.seconds}s", "--stop-timeout", "30"]
    command += ["--html", f"{report}.html", "--csv", str(report)]
    # Locust's own tables every two seconds are replaced by one line of progress and one table; see locustfile.py.
    command += ["--only-summary", "--skip-log-setup"]
    command += [SCENARIOS[scenario] for scenario in options.scenario]
    environ = {
        **os.environ,
        CLIENT_ID: client_id,
        CLIENT_SECRET: client_secret,
        THRESHOLDS: str(options.thresholds),
    }
    print(f"{options.users} callers ({', '.join(options.scenario)}) for {options.seconds} s against {url}", flush=True)
    finished = subprocess.run(command, env=environ, check=False)
    print(f"reports: {report}.html, {report}_stats.csv", flush=True)
    return 0 if finished.returncode == 0 else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=main.__doc__)
    parser.add_argument("--users", type=_positive, default=16, help="callers at once (%(default)s)")
    parser.add_argument("--spawn-rate", type=_positive, default=8, help="callers that start each second (%(default)s)")
    parser.add_argument("--seconds", type=_positive, default=30, help="how long (%(default)s)")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="give it once for each; all by default")
    parser.add_argument("--host", help="URL of a running server; one is started by default")
    parser.add_argument(
        "--home",
        type=Path,
        help="home to serve, or the home of --host, to register a client in; a temporary one by default",
    )
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="where reports go (%(default)s)")
    parser.add_argument("--thresholds", type=Path, default=DEFAULT_FILE, help="thresholds file (%(default)s)")
    options = parser.parse_args(arguments)
    options.scenario = list(dict.fromkeys(options.scenario or SCENARIOS))
    if options.users < len(options.scenario):
        parser.error(f"--users: {len(options.scenario)} scenarios need at least as many callers")
    if options.host and not options.home and not {CLIENT_ID, CLIENT_SECRET} <= set(os.environ):
        parser.error(f"--host: name its --home, or set {CLIENT_ID} and {CLIENT_SECRET}")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number above 0 is needed")
    return number
