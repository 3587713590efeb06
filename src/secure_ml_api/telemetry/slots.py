"""Whose metrics files this process writes: one set per worker *slot*, kept when the worker in it is replaced.

prometheus_client names its files by pid unless told otherwise, so they grow in number with every restart, and deleting
them makes counters go backwards. A slot is a small number that the server hands out (the lowest one free), so the
worker that follows a killed one goes on counting in its files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

from . import cells

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for its files; set by ``use_directory`` alone."""

_MASTER = "master"
# One file for each kind that the catalogue uses. Their space is reserved at once: writing into a memory-mapped file
# that the disk has no room for would kill the process.
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin")
_RESERVED_BYTES = 512 * 1024


_slot: int | None = None


def use_directory(directory: Path) -> None:
    """Count in files under ``directory``, emptied now. For the launcher, before the first metric and the first fork."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    os.environ[DIRECTORY_VARIABLE] = str(directory.absolute())
    values.ValueClass = cells.Cell
    prepare_slot(None)
    cells.write_to(directory, _name(None))


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
        descriptor = os.open(directory / f"{kind}_{_name(slot)}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)
        finally:
            os.close(descriptor)


def take_slot(slot: int) -> None:
    """Write into the files of ``slot`` from now on: for a worker, once, right after the fork."""
    global _slot
    _slot = slot
    directory = current_directory()
    if directory is None:
        return
    try:
        cells.write_to(directory, _name(slot))
    except FileNotFoundError:  # lost since the slot was prepared
        prepare_slot(slot)
        cells.write_to(directory, _name(slot))


def current_slot() -> int | None:
    """The slot of this worker; None in any other process."""
    return _slot


def forget_slot(slot: int | None) -> None:
    """Drop what a dead worker's gauges said; its counters stay."""
    directory = current_directory()
    if directory is not None:
        mark_process_dead(_name(slot), str(directory))  # type: ignore[no-untyped-call]


def reopen_if_lost() -> bool:
    """Make the files of this process anew if someone deleted them; True when it was so. Counters then start at zero."""
    directory = current_directory()
    if directory is None or all((directory / f"{kind}_{_name(_slot)}.db").exists() for kind in _KINDS):
        return False
    prepare_slot(_slot)
    cells.write_to(directory, _name(_slot))
    return True


def _name(slot: int | None) -> str:
    return _MASTER if slot is None else str(slot)
