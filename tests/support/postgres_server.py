"""A real PostgreSQL server of the test run's own, on a free port, in a directory that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from .needs import free_port, program

_PACKAGE = "postgresql"
_numbers = count(1)


class PostgresServer:
    """Runs while its ``with`` block does. PostgreSQL refuses to run as root: then it runs as its own user."""

    def __init__(self) -> None:
        self._initdb = program("initdb", _PACKAGE)
        self._pg_ctl = program("pg_ctl", _PACKAGE)
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.port = free_port()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run(self._pg_ctl, "-D", str(self._data), "-l", str(self._data / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """End it at once, as a crash would, frozen or not."""
        with suppress(OSError):  # processes come and go meanwhile
            self.thaw()
        self._run(self._pg_ctl, "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def freeze(self) -> None:
        """Keep it from running: its connections stay open and nothing is answered."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):  # one that served a connection has ended meanwhile
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        first = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *(int(child) for child in children)]

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"

    def _conninfo(self, database: str) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def _run(self, *command: str) -> None:
        # The server inherits these pipes' places: files, because a pipe would stay open as long as the server runs.
        with (self._directory / "commands.log").open("ab") as log:
            subprocess.run([*self._as_user, *command], check=True, stdout=log, stderr=log, cwd="/", timeout=60)

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self._directory / "data"
        if self._as_user:
            owner = pwd.getpwnam("postgres")
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)
        self._run(self._initdb, "-D", str(self._data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A test may have stopped it already.
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
