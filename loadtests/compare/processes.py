"""A server as a tree of processes on one core: started, awaited, weighed, and ended by its process ids."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from .trouble import CompareError

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 90.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Start:
    """How a server is started; ``ready_path`` answers 200 when it may be sent requests; without, its port is open."""

    command: tuple[str, ...]
    ready_path: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A started server."""

    process: subprocess.Popen[bytes]
    port: int
    seconds_to_ready: float

    def pids(self) -> list[int]:
        """The server's processes: the one that was started, its descendants, and whoever shares its session."""
        parents, sessions = _processes()
        wanted = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
            wanted |= more
        return sorted(wanted | {pid for pid, session in sessions.items() if session == self.process.pid})

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far, with those of its children that have ended."""
        return sum(_ticks(pid) for pid in self.pids()) / _TICKS_PER_SECOND

    def pss_bytes(self) -> int:
        """Proportional set size of all its processes: memory that several share is counted once, in parts."""
        return sum(_pss_kib(pid) for pid in self.pids()) * 1024


@contextmanager
def running(start: Start, port: int, log: Path, cores: set[int]) -> Iterator[Running]:
    """The server of ``start``, ready, on ``cores`` alone; its output goes to ``log``. Raises CompareError."""
    environ = {**os.environ, **start.environ}
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *start.command],
            env=environ,
            cwd=start.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not _answers(port, start.ready_path):
            if process.poll() is not None or time.perf_counter() - began > _READY_SECONDS:
                raise CompareError(f"{start.command[0]} did not become ready; its output is in {log}")
            time.sleep(0.005)
        yield Running(process, port, time.perf_counter() - began)
    finally:
        _stop(Running(process, port, 0.0))


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


def _answers(port: int, path: str) -> bool:
    if not path:
        return _listens(port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _processes() -> tuple[dict[int, int], dict[int, int]]:
    """Parent and session of every process of the machine."""
    parents, sessions = {}, {}
    for pid in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
        if fields := _stat(pid):
            parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
    return parents, sessions


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the third, the state, on; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) if fields else 0  # utime, stime, cutime, cstime


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _stop(server: Running) -> None:
    """Ask it to stop, then end whatever is left, and wait until nothing is."""
    started = {pid: _birth(pid) for pid in server.pids()}
    server.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(_STOP_SECONDS)
    started |= {pid: _birth(pid) for pid in server.pids() if pid not in started}
    left = {pid: birth for pid, birth in started.items() if _birth(pid) == birth is not None}
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    until = time.monotonic() + _STOP_SECONDS
    while any(_birth(pid) == birth for pid, birth in left.items()) and time.monotonic() < until:
        time.sleep(0.01)


def _birth(pid: int) -> str | None:
    """When the process began, by which it differs from a later one with its id; None when it has ended."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else None
