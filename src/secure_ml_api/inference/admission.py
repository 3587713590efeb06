"""How much work a worker takes in: so many runs at once, so many requests waiting for one, the rest refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore

from ..errors import DeadlineExceeded, Overloaded
from .deadline import Deadline


class Admission:
    """Bounds of one worker; safe to build before a fork."""

    def __init__(self, max_concurrent_runs: int, max_waiting: int) -> None:
        self._runs = Semaphore(max_concurrent_runs)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._lock = Lock()

    @contextmanager
    def admitted(self, deadline: Deadline) -> Iterator[None]:
        """A place to run in; raises Overloaded when too many wait, DeadlineExceeded when none came free in time."""
        if not self._runs.acquire(blocking=False):
            self._wait(deadline)
        try:
            yield
        finally:
            self._runs.release()

    def _wait(self, deadline: Deadline) -> None:
        with self._lock:
            if self._waiting >= self._max_waiting:
                raise Overloaded("the server has all the work that it can finish in time")
            self._waiting += 1
        try:
            if not self._runs.acquire(timeout=max(0.0, deadline.remaining_seconds())):
                raise DeadlineExceeded("the deadline passed while the request waited for a run")
        finally:
            with self._lock:
                self._waiting -= 1
