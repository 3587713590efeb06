"""A server with one worker that is asked more than it can answer: what it needs to be set to, and how it fares.

Where there are CPUs enough and figures are kept, server and load have a CPU each, so that one does not take from the
other what is to be measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Any, Self

from secure_ml_api.cli.stores import opened
from secure_ml_api.settings import read_settings

from .open_loop import OpenLoop
from .outcome import Outcome
from .request_bytes import post
from .server import SERVE, ClientSecret, RunningServer

ENDLESS = "999999999/minute"
SLEEPING = (sys.executable, "-m", "support.sleeping")
"""A model of 5 ms a run that uses no CPU, as one on an accelerator; its runs are not shared here."""


class Loaded:
    """``running`` and requests for ``row`` of ``model``."""

    def __init__(self, running: RunningServer, model: str, row: dict[str, Any]) -> None:
        self.running = running
        self.model = model
        self.row = row

    def caller(self, name: str, rate: str = ENDLESS) -> bytes:
        """What a new client sends again and again, with a quota of ``rate`` requests."""
        # Not by the command, which costs a process each.
        with opened(read_settings(self.running.home, {})) as stores:
            scopes = [f"predict:{self.model}"]
            client, secret = stores.clients.create(name, scopes, requests=rate, rows=ENDLESS, concurrency=100_000)
        token = self.running.token(ClientSecret(client.client_id, secret))
        return post(f"/v1/models/{self.model}/predict", self.row, token)

    def cpu_seconds(self) -> float:
        """What the worker has used so far, of user and system time."""
        ticks = 0
        for pid in self.running.worker_pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak(self, request: bytes, seconds: float) -> float:
        """Answers a second to a few callers who wait for theirs before they ask again."""
        with OpenLoop(
            self.running.port, request, rate=20_000, seconds=seconds, connections=8, patience_seconds=0
        ) as load:
            pass
        return len(load.outcome.of(200).answers) / seconds

    def load(self, request: bytes, rate: float, seconds: float, connections: int = 400) -> Outcome:
        """What becomes of ``rate`` requests a second."""
        with OpenLoop(self.running.port, request, rate=rate, seconds=seconds, connections=connections) as load:
            pass
        return load.outcome


class Probes:
    """Asks the same again and again while the ``with`` block runs, on a new connection each time, as probes do."""

    def __init__(self, running: RunningServer, path: str, *, port: int, every_seconds: float) -> None:
        self._running = running
        self._path, self._port = path, port
        self._every_seconds = every_seconds
        self._stopped = Event()
        self._thread = Thread(target=self._ask, daemon=True)
        self.statuses: set[int] = set()
        self.longest_seconds = 0.0

    @classmethod
    def of_readiness(cls, running: RunningServer) -> Self:
        return cls(running, "/v2/health/ready", port=running.port, every_seconds=0.1)

    @classmethod
    def of_metrics(cls, running: RunningServer) -> Self:
        """Scrapes: more seldom, as each costs milliseconds of CPU, and yet far more often than any Prometheus asks."""
        return cls(running, "/metrics", port=running.metrics_port, every_seconds=0.5)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self._path} was not answered"

    def _ask(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            begun = perf_counter()
            self.statuses.add(self._running.get(self._path, port=self._port).status)
            self.longest_seconds = max(self.longest_seconds, perf_counter() - begun)


@contextmanager
def overloadable(
    home: Path, worker_class: str, model: str, row: dict[str, Any], *, apart: bool, sleeps: bool
) -> Iterator[Loaded]:
    """A server of one worker, with the model that ``sleeps`` or the examples; ``apart``: not on the load's CPU."""
    environ = {
        "SECURE_ML_API_SERVER__WORKER_CLASS": worker_class,
        "SECURE_ML_API_SERVER__CONNECTIONS_PER_ADDRESS": "0",
        "SECURE_ML_API_INFERENCE__MAX_CONCURRENT_RUNS": "1",
        "SECURE_ML_API_BATCHING__ENABLED": "never",
    }
    cpus = sorted(os.sched_getaffinity(0))
    apart = apart and len(cpus) > 1
    command = ("taskset", "-c", str(cpus[0])) if apart else ()
    if apart:
        os.sched_setaffinity(0, set(cpus[1:]))
    try:
        command = (*command, *(SLEEPING if sleeps else SERVE))
        with RunningServer(home, "--workers", "1", command=command, environ=environ) as running:
            yield Loaded(running, model, row)
    finally:
        os.sched_setaffinity(0, set(cpus))


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
