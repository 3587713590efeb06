"""Threads that runs happen in, so that whoever waits for one can stop waiting."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread


class RunThreads:
    """Threads that are made when they are needed and kept; how many is bounded by who asks.

    Daemons, unlike those of ``concurrent.futures``: a run that does not come to its end must not keep the process.
    Safe to build before a fork, to be used on one side of it.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = 0
        self._alive = False
        self._lock = Lock()

    def begin(self, work: Callable[[], None]) -> None:
        """Do ``work``, which must not raise, in a thread that is free, now; RuntimeError if there can be none."""
        with self._lock:
            is_free = self._idle > 0
            self._idle -= is_free
        if not is_free:
            try:
                Thread(target=self._live, name="run", daemon=True).start()
                self._alive = True
            except RuntimeError:  # the system gives no more threads: the next of ours that is free does it
                if not self._alive:
                    raise
        self._work.put(work)

    def _live(self) -> None:
        while True:
            self._work.get()()
            with self._lock:
                self._idle += 1
