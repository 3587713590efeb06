"""How a worker is: what the kernel knows of its process, and what waits in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from .metrics import Metrics

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """Those of the worker in ``slot``, made in it after the fork; ``waiting`` tells how many wait for a run."""

    def __init__(self, metrics: Metrics, slot: int, waiting: Callable[[], int]) -> None:
        self._metrics = metrics
        self._slot = slot
        self._waiting = waiting
        self.told_seconds = 0.0
        """CPU of this process that the metrics show."""
        metrics.worker_started(slot)
        self.tell()

    def tell(self) -> None:
        """Say how the worker is; once a second is enough. Any worker then answers for it."""
        seconds = time.process_time()
        self._metrics.worker_is(
            self._slot,
            waiting=self._waiting(),
            resident_bytes=resident_bytes(),
            cpu_seconds=seconds - self.told_seconds,
        )
        self.told_seconds = seconds


def resident_bytes() -> int:
    """Memory of this process that is in use, with what it shares: the workers of a machine share models' weights."""
    return int(_STATM.read_text("ascii").split()[1]) * _PAGE_BYTES
