"""The server's processes, when they run on this machine: how much CPU they take, and how much memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass(slots=True)
class Followed:
    """A process and its descendants."""

    process: psutil.Process
    _cpu_seconds: dict[int, float] = field(default_factory=dict)
    _looked: float = 0.0

    @classmethod
    def of(cls, pid: int) -> Followed | None:
        """The processes under ``pid``; None when there is no such process."""
        try:
            return cls(psutil.Process(pid)) if pid else None
        except psutil.NoSuchProcess:
            return None

    def look(self) -> tuple[float | None, int | None]:
        """Cores used since the last look (None at the first), and bytes of memory, shared pages counted in parts."""
        now, size = time.monotonic(), 0
        cpu: dict[int, float] = {}
        try:
            for process in (self.process, *self.process.children(recursive=True)):
                times = process.cpu_times()
                cpu[process.pid] = times.user + times.system
                size += process.memory_full_info().pss
        except psutil.Error:
            return None, None
        # A worker that has come since was not there before: what it has used counts from nothing.
        used = sum(seconds - self._cpu_seconds.get(pid, 0.0) for pid, seconds in cpu.items())
        cores = used / (now - self._looked) if self._looked else None
        self._cpu_seconds, self._looked = cpu, now
        return cores, size


def pid_of(home: Path) -> int:
    """The pid of the server that serves ``home`` on this machine; 0 when none is known."""
    try:
        return int((home / "run" / "server.pid").read_text())
    except (OSError, ValueError):
        return 0
