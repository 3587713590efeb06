"""A server to put under load: started on free ports with a prepared home, and stopped whatever happens."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMAND = (sys.executable, "-m", "secure_ml_api")

_START_SECONDS = 120.0
_STOP_SECONDS = 40.0
UNLIMITED = "999999999/minute"
# Every caller of a load test has the same address: what protects a server from one address would stop the test.
LIMITS = ("ADDRESS", "FAILED_AUTHENTICATIONS", "TOKEN_ADDRESS", "TOKEN_CLIENT")


class LoadtestError(Exception):
    """The load test cannot start; ``str()`` is the one line that says why."""


@contextmanager
def running_server(home: Path, log: Path) -> Iterator[tuple[str, int]]:
    """Base URL and pid of a server on ``home``, ready; its log goes to ``log``. Raises LoadtestError."""
    port, metrics_port = free_ports(2)
    environ = {**os.environ, **{f"SECURE_ML_API_QUOTAS__{limit}": UNLIMITED for limit in LIMITS}}
    arguments = ["--home", str(home), "--port", str(port), "--metrics-port", str(metrics_port)]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            process_group=0,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + _START_SECONDS
        while not is_ready(url):
            if process.poll() is not None or time.monotonic() > until:
                raise LoadtestError(f"the server did not become ready: {_last_line(log)}")
            time.sleep(0.1)
        yield url, process.pid
    finally:
        _stop(process)


@contextmanager
def registered_client(home: Path, environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Id and secret of a client in ``home`` with the scopes that callers need and endless quotas; then deleted.

    ``environ`` has settings that are not the home's own, such as another database.
    """
    name = f"loadtest-{os.getpid()}-{time.time_ns()}"
    scopes = ["--scope", "predict:*", "--scope", "models:read"]
    quotas = ["--rate", UNLIMITED, "--rows", "999999999999/minute", "--concurrency", "100000"]
    client = _printed(home, "clients", "create", name, *scopes, *quotas, environ=environ)
    try:
        yield client["client_id"], client["client_secret"]
    finally:
        _printed(home, "clients", "delete", client["client_id"], environ=environ)


def prepare(home: Path, *options: str, environ: Mapping[str, str] | None = None) -> None:
    """Make ``home``, with the example models unless ``options`` say otherwise; raises LoadtestError."""
    _printed(home, "init", *options, environ=environ)


def is_ready(url: str) -> bool:
    """Whether the server at ``url`` says that it may be sent requests."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _printed(home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Any:
    """What the command prints as JSON; raises LoadtestError with its one line when it fails."""
    finished = subprocess.run(
        [*COMMAND, *arguments, "--home", str(home), "--json"],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if finished.returncode != 0:
        raise LoadtestError(finished.stderr.strip() or f"secure-ml-api {arguments[0]} exited {finished.returncode}")
    return json.loads(finished.stdout)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on, held together so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
