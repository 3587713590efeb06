"""One worker of several, for what each of them must be asked by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .server import RunningServer

T = TypeVar("T")


def of_each_worker(server: RunningServer, ask: Callable[[], T]) -> list[T]:
    """What ``ask``, on a connection of its own, gets from each worker, while the others stand still and take none."""
    answers = []
    for pid in sorted(server.worker_pids()):
        with _stopped(server.worker_pids() - {pid}):
            answers.append(ask())
    return answers


@contextmanager
def _stopped(pids: set[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
