"""One server on a home: an advisory lock on the directory, which the kernel gives back when its holders are gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..errors import HomeError


def lock_home(home: Path) -> int:
    """Make the home if needed and lock it; the lock lasts while the returned descriptor is open here or in a worker.

    Raises HomeError when another server has it, or when the home cannot be made or opened.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HomeError(f"{home}: {error.strerror}; name another home with --home") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise HomeError(
            f"{home}: another server runs on this home; stop it, or name another home with --home"
        ) from None
    return descriptor


def is_locked(home: Path) -> bool:
    """Whether a server runs on ``home`` right now."""
    try:
        os.close(lock_home(home))
    except HomeError:
        return True
    return False
