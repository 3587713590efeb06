"""Commands of the console script, each in a process of its own, forked from one that has imported what most need.

A short command spends nine tenths of its time on imports, and the suite runs hundreds. What a command does from its
arguments to its exit is the same; what happens before its first import is tested where that matters.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

_TESTS = Path(__file__).parent.parent
# None of them takes anything from the environment, or has a thread or a connection, when it is imported.
_IMPORTED = (
    "secure_ml_api.cli.clients",
    "secure_ml_api.cli.stores",
    "secure_ml_api.auth.clients",
    "secure_ml_api.database.migrate",
    "secure_ml_api.models.verification",
    "secure_ml_api.runtimes.onnx",
)
# What Python or the loader reads before the first import: who sets any of it gets an interpreter of its own.
_READ_AT_START = ("LD_", "PYTHON")


def run_command(
    *arguments: str, environ: Mapping[str, str] = os.environ, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """``secure-ml-api`` with ``arguments``, in ``environ``; fails the test when it takes longer than ``seconds``."""
    if _read_at_start(environ) != _read_at_start(os.environ):
        command = [sys.executable, "-m", "secure_ml_api", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=seconds, check=False)
    return _parent().run(arguments, environ, seconds)


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    known = {"PYTHONPATH": str(_TESTS)}  # which servers of tests have, and their commands
    return {**known, **{name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}}


@cache
def _parent() -> _Parent:
    parent = _Parent()
    atexit.register(parent.end)
    return parent


class _Parent:
    """The process that the commands are forked from; it is told of each in a line, and answers with a line."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.commands"],
            env={**os.environ, "PYTHONPATH": str(_TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )

    def run(
        self, arguments: tuple[str, ...], environ: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn, tempfile.TemporaryDirectory() as directory:
            outputs = [Path(directory, "stdout"), Path(directory, "stderr")]
            order = [arguments, dict(environ), str(Path.cwd()), [str(output) for output in outputs]]
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            ended, _, _ = select.select([self._process.stdout], [], [], seconds)
            if not ended:
                os.killpg(self._process.pid, signal.SIGKILL)
                _parent.cache_clear()
                raise AssertionError(f"secure-ml-api {' '.join(arguments)} had not ended after {seconds} s")
            status = int(self._process.stdout.readline())
            stdout, stderr = (output.read_text("utf-8") for output in outputs)
        return subprocess.CompletedProcess(arguments, status, stdout, stderr)

    def end(self) -> None:
        self._process.communicate()


def _main() -> None:
    for name in _IMPORTED:
        import_module(name)
    while order := sys.stdin.buffer.readline():
        child = os.fork()
        if child == 0:
            _become(*json.loads(order))
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(1, b"%d\n" % status)


def _become(arguments: list[str], environ: dict[str, str], directory: str, outputs: list[str]) -> Any:
    from secure_ml_api.__main__ import main

    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    for stream, path in enumerate([os.devnull, *outputs]):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["secure-ml-api", *arguments]
    main()


if __name__ == "__main__":
    _main()
