"""Images and containers of the engine that is there: docker, or podman."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .needs import program
from .server import wait_until

VERSION = "1.2.3"
SERVER, LOADTEST = "secure-ml-api:checked", "secure-ml-api-loadtest:checked"

_ROOT = Path(__file__).parents[2]
_BUILD_SECONDS = 900.0
_COMMAND_SECONDS = 120.0
# As docs/deployment.md has it; without a network, as what asks is run in the container.
CONFINED = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")

_READY = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"
_PREDICT = """
import os, urllib.request
request = urllib.request.Request(
    "http://127.0.0.1:8000/v1/models/" + os.environ["MODEL"] + "/predict", os.environ["BODY"].encode(),
    {"Authorization": "Bearer " + os.environ["TOKEN"], "Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


class Answer(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Container:
    """One that runs."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name

    def run(self, *command: str, **environ: str) -> Answer:
        """Run ``command`` inside."""
        told = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        return self.engine.ask("exec", *told, self.name, *command)

    def output(self, *command: str, **environ: str) -> str:
        """What ``command`` prints inside; fails the test when it fails."""
        answer = self.run(*command, **environ)
        assert answer.code == 0, (command, answer.out, answer.err)
        return answer.out

    def wait_until_ready(self) -> None:
        try:
            wait_until(lambda: self.run("python", "-c", _READY).code == 0, 60, "readiness")
        except AssertionError as missed:
            raise AssertionError(f"{missed}: {self.logs()}") from None

    def prediction(self, model: str, row: Sequence[float]) -> Any:
        """What a new client, with a token of its own, is told of one row."""
        command = ("clients", "create", uuid.uuid4().hex, "--scope", f"predict:{model}", "--json")
        client = json.loads(self.output("secure-ml-api", *command))
        names = {"SECURE_ML_API_CLIENT_ID": "client_id", "SECURE_ML_API_CLIENT_SECRET": "client_secret"}
        token = self.output("secure-ml-api", "token", **{name: client[of] for name, of in names.items()}).strip()
        body = json.dumps({"instances": [row]})
        answer = self.output("python", "-c", _PREDICT, TOKEN=token, MODEL=model, BODY=body)
        return json.loads(answer)["predictions"][0]

    def logs(self) -> str:
        answer = self.engine.ask("logs", self.name)
        return answer.out + answer.err

    def stop(self, seconds: int) -> int:
        """Ask it to end as the engine does, kill it after ``seconds``; the exit code."""
        assert self.engine.ask("stop", f"--time={seconds}", self.name).code == 0
        return int(self.engine.ask("inspect", "--format={{.State.ExitCode}}", self.name).out)


class Engine:
    """``ENGINE`` names it; ``BASE``, ``BUILD_OPTIONS`` and ``RUN_OPTIONS`` are what a place needs besides."""

    def __init__(self) -> None:
        self._program = program(os.environ.get("ENGINE") or "docker", "docker.io (or set ENGINE=podman)")

    def ask(self, *command: str, seconds: float = _COMMAND_SECONDS) -> Answer:
        finished = subprocess.run(
            [self._program, *command], cwd=_ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
        return Answer(finished.returncode, finished.stdout, finished.stderr)

    def build(self, dockerfile: str, tag: str, **arguments: str) -> dict[str, Any]:
        """Build from the checkout; what the engine knows of the image then."""
        if base := os.environ.get("BASE"):
            arguments["BASE"] = base
        told = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
        built = self.ask("build", *options, *told, f"--file={dockerfile}", f"--tag={tag}", ".", seconds=_BUILD_SECONDS)
        assert built.code == 0, built.out[-2000:] + built.err[-4000:]
        return json.loads(self.ask("inspect", "--type=image", tag).out)[0]  # type: ignore[no-any-return]

    def output(self, image: str, *command: str, options: Sequence[str] = CONFINED) -> str:
        """What a container of ``image`` prints until it ends; fails the test when it fails."""
        answer = self.ask("run", "--rm", *self._options(), *options, image, *command)
        assert answer.code == 0, (command, answer.out, answer.err)
        return answer.out

    @contextmanager
    def container(self, image: str, *command: str, options: Sequence[str] = CONFINED) -> Iterator[Container]:
        """One that runs in the background, and is removed in the end."""
        name = f"secure-ml-api-{uuid.uuid4().hex[:8]}"
        started = self.ask("run", "--detach", f"--name={name}", *self._options(), *options, image, *command)
        try:
            assert started.code == 0, started.err
            yield Container(self, name)
        finally:
            self.ask("rm", "--force", name)

    @contextmanager
    def volume(self) -> Iterator[str]:
        name = f"secure-ml-api-{uuid.uuid4().hex[:8]}"
        assert self.ask("volume", "create", name).code == 0
        try:
            yield name
        finally:
            self.ask("volume", "rm", "--force", name)

    @staticmethod
    def _options() -> list[str]:
        return shlex.split(os.environ.get("RUN_OPTIONS", ""))
