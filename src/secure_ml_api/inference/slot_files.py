"""What each worker of a machine tells the others: a small file of its own under ``run/``, safe to lose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


class SlotFiles:
    """The files under ``directory``, one for each worker slot."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, slot: int, text: str) -> None:
        """Let the worker in ``slot`` tell ``text``, which is ASCII; a reader has all of it or none. Raises OSError."""
        staged = self._directory / f".{slot}"
        try:
            _put(staged, text)
        except FileNotFoundError:  # the first time, and when run/ was lost
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _put(staged, text)
        staged.replace(self._directory / str(slot))

    def read(self) -> Iterator[tuple[int, bytes]]:
        """What the worker of each slot told last, dead ones too; what cannot be read says nothing."""
        for path in sorted(self._directory.glob("[0-9]*")):
            with suppress(OSError, ValueError):
                yield int(path.name), path.read_bytes()


def _put(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
