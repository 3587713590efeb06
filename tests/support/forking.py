"""What a worker does that was forked from a process which had built everything."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable


def run_in_fork(task: Callable[[], object]) -> bool:
    """Run ``task`` in a forked child and wait for it; whether it returned without an error."""
    with warnings.catch_warnings():
        # Python 3.12 warns of threads in the parent: other tests left some asleep, and none of them holds a lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            task()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
