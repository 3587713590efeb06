"""Whose turn it is to load models: never all workers of a machine at once, so that requests have CPUs left."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class Turns:
    """Those of one home: ``places`` workers load at once, half as many as there are CPUs unless told otherwise."""

    def __init__(self, run_directory: Path, places: int = 0) -> None:
        self._directory = run_directory / "models"
        self._places = places or max(1, len(os.sched_getaffinity(0)) // 2)

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether it is this worker's turn, which then ends with the block, or with the worker.

        Where the folder cannot be written nobody knows of the others, and it is everybody's turn.
        """
        with ExitStack() as opened:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                yields = any(self._is_free(place, opened) for place in range(self._places))
            except OSError:
                yields = True
            yield yields

    def _is_free(self, place: int, opened: ExitStack) -> bool:
        descriptor = os.open(self._directory / f"turn.{place}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
