"""The last line that this home has seen, in a file of its own: a database set back cannot set this back too."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import HomeError
from .chain import Head, Mark, is_sealed, seal

_FILE = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint in ``directory`` (``home/audit``), shared by the processes of a machine."""

    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / _FILE

    def read(self, key: bytes) -> Mark:
        """The last line seen; that of an empty trail where there is no file.

        Raises HomeError for a file that cannot be read or is not sealed with ``key``.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Mark()
        except OSError as error:
            raise HomeError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            values = json.loads(content)
            mark, sealed = Mark(int(values["line"]), str(values["hash"])), str(values["seal"])
        except (ValueError, TypeError, KeyError, RecursionError):
            mark, sealed = Mark(1), ""
        if not is_sealed(key, Head(mark), sealed):
            raise HomeError(
                f"{self.path} was altered, or is sealed with another key: restore it, or verify an older copy of the "
                "trail against the log's heads and remove it"
            )
        return mark

    def advance(self, key: bytes, mark: Mark, *, back_too: bool = False) -> None:
        """Remember ``mark``, unless a later one is there already; ``back_too`` replaces that as well.

        Raises HomeError when it cannot be written.
        """
        try:
            with locked(self.directory):
                if not back_too and self._later_than(key, mark):
                    return
                self._write(json.dumps({"line": mark.id, "hash": mark.hash, "seal": seal(key, Head(mark))}))
        except OSError as error:
            raise HomeError(f"{self.path} cannot be written: {error.strerror}") from error

    def _later_than(self, key: bytes, mark: Mark) -> bool:
        try:
            return self.read(key).id > mark.id
        except HomeError:
            return False  # what is there says nothing

    def _write(self, content: str) -> None:
        staged = self.path.with_suffix(".new")
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(descriptor)
        staged.replace(self.path)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep every other process of the machine out of ``directory``, made where it is missing; raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
