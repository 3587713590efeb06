"""Processes forked from one that has imported what they would: servers and commands of tests, hundreds in a run.

A short command spends nine tenths of its time on imports, a server half of what it needs until it is ready. What a
process does from its arguments to its exit is the same; what happens before its first import is tested where that
matters: who asks for ``("env", sys.executable, …)`` gets an interpreter of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock

_TESTS = Path(__file__).parent.parent
# None of them takes anything from the environment, or has a thread or a connection, when it is imported.
_IMPORTED = (
    "alembic.context",  # not by the module that migrates, which is to be quick where there is nothing to do
    "secure_ml_api.app",
    "secure_ml_api.auth.clients",
    "secure_ml_api.cli.clients",
    "secure_ml_api.cli.serve",
    "secure_ml_api.cli.stores",
    "secure_ml_api.database.migrate",
    "secure_ml_api.models.verification",
    "secure_ml_api.runtimes.onnx",
    "secure_ml_api.server.application",
    "secure_ml_api.server.gthread",
    "secure_ml_api.server.in_place",
    "sqlalchemy.dialects.sqlite",
)
# What Python, the loader or a library reads before or with the first import: who sets any of it is not forked.
_READ_AT_START = ("GLIBC_", "LD_", "MALLOC_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON")
_RUN_MODULE = (sys.executable, "-m")


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    known = {"PYTHONPATH": str(_TESTS)}  # which servers of tests have, and their commands
    return {**known, **{name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}}


_READ_HERE = _read_at_start(os.environ)  # now: a test may set any of it for those that it starts


class Forked:
    """A process that ``start`` forked, as ``subprocess.Popen`` tells of one."""

    def __init__(self, nursery: _Nursery, args: Sequence[str], pid: int) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._lives = os.pidfd_open(pid)  # the pid is its own until it is reaped, which is done here alone

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._reaped(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; raises subprocess.TimeoutExpired when it has not ended after ``timeout`` seconds."""
        status = self._reaped(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Nothing when it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._lives, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reaped(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ended = select.poll()  # not select.select: a test may hold thousands of descriptors
            ended.register(self._lives, select.POLLIN)
            if ended.poll(None if timeout is None else timeout * 1000):
                self.returncode = self._nursery.ask({"reap": self.pid})
                os.close(self._lives)
        return self.returncode


Process = Forked | subprocess.Popen[bytes]


def start(command: Sequence[str], environ: Mapping[str, str], stderr: Path, stdout: Path = Path(os.devnull)) -> Process:
    """``command`` in ``environ``, in a process group of its own; forked where it is ``python -m`` and may be."""
    if tuple(command[:2]) == _RUN_MODULE and _read_at_start(environ) == _READ_HERE:
        return _nursery().start(command, environ, stdout, stderr)
    with stdout.open("ab") as out, stderr.open("wb") as err:
        return subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0
        )


@cache
def _nursery() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.end)
    return nursery


class _Nursery:
    """The process that others are forked from; it is told of each in a line, and answers with a number in a line."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._process = subprocess.Popen(
            [*_RUN_MODULE, "support.nursery"],
            env={**os.environ, **_READ_HERE, "PYTHONPATH": str(_TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )

    def start(self, command: Sequence[str], environ: Mapping[str, str], stdout: Path, stderr: Path) -> Forked:
        umask = os.umask(0o077)
        os.umask(umask)
        order = {
            "module": command[2],
            "arguments": command[3:],
            "environ": dict(environ),
            "directory": str(Path.cwd()),
            "umask": umask,
            "outputs": [str(stdout.absolute()), str(stderr.absolute())],
        }
        return Forked(self, command, self.ask(order))

    def ask(self, order: Mapping[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def _main() -> None:
    for name in _IMPORTED:
        import_module(name)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        if "reap" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _become(**order)
                return
            with suppress(PermissionError):  # it runs another program by now, and did this itself
                os.setpgid(answer, answer)
        os.write(1, b"%d\n" % answer)


def _become(
    *, module: str, arguments: list[str], environ: dict[str, str], directory: str, umask: int, outputs: list[str]
) -> None:
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    for stream, path in enumerate([os.devnull, *outputs]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, stream)
        os.close(file)
    os.umask(umask)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
