"""One at a time where a small file is read, changed and written back."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.01


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Let nobody else, in this process or another of this machine, be alone with ``directory`` meanwhile.

    The folder itself is locked: that leaves no file, and goes where it cannot be written. Whoever may read the folder
    could hold the lock for ever, and some file systems have none for folders, so who has waited for two seconds, or
    cannot lock, goes on without. Raises OSError when ``directory`` cannot be opened.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, time.monotonic() + _PATIENCE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return None
        except OSError:
            return None
        time.sleep(_POLL_SECONDS)
