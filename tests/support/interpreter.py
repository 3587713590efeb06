"""Whether code lets other threads have the interpreter while it works, told without a clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread

_TIMES = 200


def lets_others_run(work: Callable[[], object]) -> bool:
    """Whether a thread that waits for the interpreter gets it while ``work`` runs in this one.

    Nobody is made to hand it over meanwhile. One that is handed over for a moment only may be missed by a thread that
    has no CPU just then, so ``work`` is done up to 200 times.
    """
    interval = sys.getswitchinterval()
    begun, ran = Event(), Event()

    def wait() -> None:
        begun.wait()
        ran.set()

    other = Thread(target=wait, daemon=True)
    other.start()
    sys.setswitchinterval(3600)
    try:
        begun.set()
        for _ in range(_TIMES):
            work()
            if ran.is_set():
                return True
        return False
    finally:
        sys.setswitchinterval(interval)
        other.join()
