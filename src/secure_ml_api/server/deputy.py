"""A second thread that serves a worker's connections when the first, which serves them all, does not come back.

What is answered in place is believed to take well under a millisecond, and everyone else waits meanwhile. Should it
hang all the same, in a model or in anything else that lets go of the interpreter, the deputy notices. Where not even
the interpreter is let go of, nothing in this process can act, and the master kills it when its heartbeat has stopped
for gunicorn's ``timeout``.
"""

from __future__ import annotations

import logging
from threading import Thread
from time import sleep
from typing import Any, Protocol

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 0.1
# Rounds that one answer may be seen in; rounds and not seconds, as the whole process may have been held up. By then the
# watchdog of the runs has tried to end a run that hangs.
_ROUNDS = 12


class Deposable(Protocol):
    """A worker whose main thread can be replaced while it is ``answering``."""

    answering: Any
    is_deposed: bool

    def take_over(self, stuck: Any) -> None: ...


class Deputy(Thread):
    """Looks after the main thread of ``worker``, and does its work from the moment on in which it is given up."""

    def __init__(self, worker: Deposable) -> None:
        super().__init__(name="deputy", daemon=True)
        self._worker = worker

    def run(self) -> None:
        rounds, seen = 0, None
        while rounds < _ROUNDS or not self._depose(seen):
            sleep(_ROUND_SECONDS)
            answering = self._worker.answering
            rounds = rounds + 1 if answering is not None and answering is seen else 0
            seen = answering
        logger.error("an answer in place does not come to its end; another thread serves the connections")
        self._worker.take_over(seen)

    def _depose(self, seen: object) -> bool:
        """Take the main thread's work away, unless it is back: it says so first, and looks then."""
        self._worker.is_deposed = True
        if self._worker.answering is seen:
            return True
        self._worker.is_deposed = False
        return False
