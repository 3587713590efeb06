"""The tallies of all workers of a machine: each writes a file of its own, and anyone adds them up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Version(NamedTuple):
    """Which package was asked."""

    name: str
    version: str
    digest: str


class Counted(NamedTuple):
    """``counts``: int64 [bins] of ``rows`` rows."""

    rows: int
    counts: Array


class TallyFiles:
    """The files under ``directory``, one for each worker slot; numbers alone, and safe to lose."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, slot: int, tallies: Mapping[Version, Counted], until: float) -> None:
        """What the worker in ``slot`` has counted, good ``until`` then on the monotonic clock; raises OSError."""
        told = [[*version, counted.rows, counted.counts.tolist()] for version, counted in tallies.items()]
        staged = self._directory / f".{slot}"
        try:
            self._put(staged, json.dumps([until, told]))
        except FileNotFoundError:  # the first time, and when run/ was lost
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put(staged, json.dumps([until, told]))
        staged.replace(self._directory / str(slot))

    def read(self, now: float) -> dict[Version, Counted]:
        """The sums over all workers, of what is still good; what cannot be read says nothing."""
        sums: dict[Version, Counted] = {}
        for path in sorted(self._directory.glob("[0-9]*")):
            try:
                until, told = json.loads(path.read_bytes())
                found = [(Version(*each[:3]), Counted(each[3], np.array(each[4], np.int64))) for each in told]
            except (OSError, ValueError, TypeError, IndexError):
                continue
            for version, counted in found if until >= now else []:
                rows, counts = sums.get(version, (0, 0))
                sums[version] = Counted(rows + counted.rows, counts + counted.counts)
        return sums

    @staticmethod
    def _put(path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
