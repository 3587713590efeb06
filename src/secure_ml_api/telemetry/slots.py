"""Whose metrics files this process writes: one set per worker *slot*, kept when the worker in it is replaced.

prometheus_client names its files by pid unless told otherwise, so they grow in number with every restart, and deleting
them makes counters go backwards. A slot is a small number that the server hands out (the lowest one free), so the
worker that follows a killed one goes on counting in its files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for its files; set by ``use_directory`` alone."""

_MASTER = "master"
# One file for each kind that the catalogue uses. Their space is reserved at once: writing into a memory-mapped file
# that the disk has no room for would kill the process.
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
_RESERVED_BYTES = 512 * 1024


class _Writer(NamedTuple):
    """Who writes; prometheus_client closes its files and opens those of ``str(writer)`` whenever this changes."""

    slot: int | None
    generation: int

    def __str__(self) -> str:
        return _MASTER if self.slot is None else str(self.slot)


_writer = _Writer(None, 0)


def use_directory(directory: Path) -> None:
    """Count in files under ``directory``, emptied now. For the launcher, before the first metric and the first fork."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    os.environ[DIRECTORY_VARIABLE] = str(directory.absolute())
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: _writer)  # type: ignore[no-untyped-call]
    prepare_slot(None)


def current_directory() -> Path | None:
    """Where the files are; None when metrics are counted in this process's memory only."""
    directory = os.environ.get(DIRECTORY_VARIABLE)
    return Path(directory) if directory else None


def prepare_slot(slot: int | None) -> None:
    """Make the files of ``slot`` ready for its next worker: counters as they are, gauges of the last worker gone.

    Raises OSError when there is no room for them.
    """
    directory = current_directory()
    if directory is None:
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget_slot(slot)
    for kind in _KINDS:
        descriptor = os.open(directory / f"{kind}_{_Writer(slot, 0)}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)
        finally:
            os.close(descriptor)


def take_slot(slot: int) -> None:
    """Write into the files of ``slot`` from now on: for a worker, once, right after the fork."""
    global _writer
    _writer = _Writer(slot, _writer.generation + 1)


def current_slot() -> int | None:
    """The slot of this worker; None in any other process."""
    return _writer.slot


def forget_slot(slot: int | None) -> None:
    """Drop what a dead worker's gauges said; its counters stay."""
    directory = current_directory()
    if directory is not None:
        mark_process_dead(str(_Writer(slot, 0)), str(directory))  # type: ignore[no-untyped-call]


def reopen_if_lost() -> bool:
    """Make the files of this process anew if someone deleted them; True when it was so. Counters then start at zero.

    The next write opens the new files.
    """
    global _writer
    directory = current_directory()
    if directory is None or all((directory / f"{kind}_{_writer}.db").exists() for kind in _KINDS):
        return False
    prepare_slot(_writer.slot)
    _writer = _Writer(_writer.slot, _writer.generation + 1)
    return True
