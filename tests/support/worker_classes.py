"""Faults and the worker classes that a server has to stand them with.

A server is started once and takes over the other class by a reload, which costs a fraction of a start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from secure_ml_api.settings import read_settings

from .server import RunningServer, wait_until

CLASSES = ("inplace", "gthread")


class Case(NamedTuple):
    """A fault of a server whose workers are all of one class."""

    fault: str
    worker_class: str

    def __str__(self) -> str:
        return f"{self.fault}, {self.worker_class}"


def dealt(faults: Sequence[str], *, to_all: bool) -> list[Case]:
    """Each fault with each class, or with one of them in turn, the last with the last; class after class."""
    if to_all:
        return [Case(fault, name) for name in CLASSES for fault in faults]
    cases = [Case(fault, CLASSES[(place - len(faults)) % len(CLASSES)]) for place, fault in enumerate(faults)]
    return sorted(cases, key=lambda case: CLASSES.index(case.worker_class))


def switch(running: RunningServer, worker_class: str) -> None:
    """Have all workers of ``running`` be of ``worker_class``; its settings are to be those of its home."""
    if read_settings(running.home, {}).server.worker_class == worker_class:
        return
    before = running.worker_pids()
    (running.home / "config.toml").write_text(f'[server]\nworker_class = "{worker_class}"\n')
    running.reload()
    wait_until(lambda: not before & running.worker_pids(), 60, f"a server of {worker_class} workers alone")
