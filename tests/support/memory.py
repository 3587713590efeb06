"""What the processes of a server hold of the machine's memory."""

from __future__ import annotations

from pathlib import Path

from .server import RunningServer


def workers_mib(server: RunningServer) -> float:
    """MiB of all workers, where what several of them share counts once: "Pss" of proc_pid_smaps(5)."""
    return sum(
        int(line.split()[1]) / 1024
        for pid in server.worker_pids()
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )
