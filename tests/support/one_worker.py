"""One worker of several, for what each of them must be asked by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .loaded import owners
from .server import RunningServer, reply_of

T = TypeVar("T")


def of_each_worker(server: RunningServer, ask: Callable[[], T]) -> list[T]:
    """What ``ask``, on a connection of its own, gets from each worker, while the others stand still and take none."""
    answers = []
    for pid in sorted(server.worker_pids()):
        with stopped(server.worker_pids() - {pid}):
            answers.append(ask())
    return answers


def has_answered(server: RunningServer, pids: set[int]) -> bool:
    """Whether it is one of ``pids`` that answers a new connection, as none does before its models are built."""
    line = server.connection()
    try:
        line.request("GET", "/v2/health/live")
        reply_of(line.getresponse())
        return owners(server.port, server.worker_pids()).get(line.sock.getsockname()[1]) in pids
    finally:
        line.close()


@contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
