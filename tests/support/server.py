"""A real server process for tests that need one: started, waited for, spoken to, and always stopped."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .commands import run_command
from .needs import free_port
from .nursery import Process, start

SERVE = (sys.executable, "-m", "secure_ml_api", "serve")
STAND_IN = (sys.executable, "-m", "support.standin")
"""A tiny application behind the real server, for what the real application cannot be asked to do; see ``standin``."""

_TESTS = Path(__file__).parent.parent
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A registered client application."""

    client_id: str
    client_secret: str


def wait_until(holds: Callable[[], object], seconds: float = 20.0, what: str = "the condition") -> None:
    """Poll until ``holds`` is true; fails the test when that takes longer than ``seconds``."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def command_line(home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Any:
    """What the command prints with ``--json``; fails the test when it does not exit with 0."""
    finished = run_command(*arguments, "--home", str(home), "--json", environ={**os.environ, **(environ or {})})
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


class RunningServer:
    """``with RunningServer(home) as server: server.get("/v2")``."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        port: int | None = None,
        metrics_port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.metrics_port = metrics_port or free_port()
        self.tls = tls  # how the server is spoken to, for one that speaks TLS
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        self._environ = {**os.environ, "PYTHONPATH": str(_TESTS), **(environ or {})}
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        self._command = [*command, "--home", str(home), *ports, *arguments]
        self._log = home.parent / f"{home.name}.stderr"
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._process = start(self._command, self._environ, self._log)
        try:
            wait_until(self._is_ready, _START_SECONDS, "readiness")
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.stop()
        self._kill()

    @property
    def process(self) -> Process:
        assert self._process is not None, "the server was not started"
        return self._process

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 30.0,
    ) -> Reply:
        """One request on its own connection."""
        connection = self.connection(port, timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            return reply_of(connection.getresponse())
        finally:
            connection.close()

    def connection(self, port: int | None = None, timeout: float = 30.0) -> http.client.HTTPConnection:
        """A connection to the API, or to another ``port``, which never speaks TLS."""
        if self.tls is not None and port is None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)

    def get(self, path: str, token: str | None = None, **options: Any) -> Reply:
        return self.request("GET", path, headers=_bearer(token), **options)

    def post_json(self, path: str, payload: object, token: str | None = None, **options: Any) -> Reply:
        headers = {"Content-Type": "application/json", **_bearer(token)}
        return self.request("POST", path, body=json.dumps(payload).encode(), headers=headers, **options)

    def metrics(self) -> str:
        reply = self.request("GET", "/metrics", port=self.metrics_port)
        assert reply.status == 200
        return reply.body.decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of ``name`` that carry all of ``labels``."""
        from prometheus_client.parser import text_string_to_metric_families

        return sum(
            sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def create_client(self, name: str, *scopes: str, **options: str) -> ClientSecret:
        """Register a client through the command line; ``options`` such as ``rate="10/minute"``."""
        arguments = [part for scope in scopes for part in ("--scope", scope)]
        arguments += [part for key, value in options.items() for part in (f"--{key}", value)]
        made = command_line(self.home, "clients", "create", name, *arguments, environ=self._environ)
        return ClientSecret(made["client_id"], made["client_secret"])

    def token(self, client: ClientSecret, scope: str = "") -> str:
        """An access token from this server's token endpoint."""
        form = f"grant_type=client_credentials&client_id={client.client_id}&client_secret={client.client_secret}"
        reply = self.request(
            "POST",
            "/oauth/token",
            body=(form + (f"&scope={scope}" if scope else "")).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert reply.status == 200, reply.body
        token: str = reply.json()["access_token"]
        return token

    def log_text(self) -> str:
        return self._log.read_text("utf-8")

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line of stderr that is whole so far, each of which must be a JSON object."""
        whole = self.log_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    def worker_pids(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def kill_worker(self) -> int:
        """``kill -9`` one worker; returns its pid when another one has taken its place."""
        before = self.worker_pids()
        victim = max(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: self._has_successor(victim, before), what="the replacement of a killed worker")
        return victim

    def lose_run_directory(self) -> None:
        """Delete ``run/``, at one stroke, as workers that notice a loss make it anew."""
        lost = self.home / "lost"
        (self.home / "run").rename(lost)
        shutil.rmtree(lost)

    def reload(self) -> None:
        """SIGHUP, and wait until the server says that it has taken over or refused the new configuration."""
        said = self._reload_answers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._reload_answers() > said, 60, "the answer to SIGHUP")

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM; the exit code of the server."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server exited with {self.process.returncode}: {self.log_text()}")
        try:
            return self.get("/v2/health/ready", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _has_successor(self, victim: int, before: set[int]) -> bool:
        pids = self.worker_pids()
        return victim not in pids and bool(pids - before) and self._is_ready()

    def _reload_answers(self) -> int:
        return sum(line["message"].startswith(("reloaded", "reload refused")) for line in self.log_lines())

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def reply_of(response: http.client.HTTPResponse) -> Reply:
    """A whole reply, read to its end."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
