"""What it costs to hand a place from one thread to another, measured where it is paid."""

from __future__ import annotations

import os
import time
from statistics import median
from threading import Barrier, Thread

from .admission import Admission
from .deadline import Deadline

_THREADS = 4
_TURNS = 25
_ROUNDS = 3


def hand_over_seconds() -> float:
    """Mean time from one run to the next at a place that several threads want; the median of a few rounds.

    The runs of the probe only let go of the interpreter's lock, as native runs do, so what remains is the line, the
    waking of a thread and its wait for that lock. Takes some 15 ms.
    """
    return median(_round() for _ in range(_ROUNDS))


def _round() -> float:
    admission = Admission(1, _THREADS)
    start = Barrier(_THREADS + 1)
    deadline = Deadline.after(3600.0)

    def take_turns() -> None:
        start.wait()
        for _ in range(_TURNS):
            with admission.admitted(deadline):
                os.sched_yield()

    threads = [Thread(target=take_turns, daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    begun_at = time.perf_counter()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - begun_at) / (_THREADS * _TURNS)
