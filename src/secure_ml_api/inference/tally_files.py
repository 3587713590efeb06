"""The tallies of all workers of a machine: each writes a file of its own, and anyone adds them up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, TypeAdapter

from .slot_files import SlotFiles

Array = np.ndarray[Any, np.dtype[Any]]
# Until when it is good; and of each package name, version, digest, rows, and counts.
_Count = Annotated[int, Field(ge=0, lt=2**48)]
_TOLD = TypeAdapter(tuple[float, list[tuple[str, str, str, _Count, list[_Count]]]])


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
        self._files = SlotFiles(directory)

    def write(self, slot: int, tallies: Mapping[Version, Counted], until: float) -> None:
        """What the worker in ``slot`` has counted, good ``until`` then on the monotonic clock; raises OSError."""
        told = [[*version, counted.rows, counted.counts.tolist()] for version, counted in tallies.items()]
        self._files.write(slot, json.dumps([until, told]))

    def read(self, now: float, bins: Mapping[Version, int]) -> dict[Version, Counted]:
        """The sums over all workers, of packages with so many ``bins`` each; what is not such a tally says nothing."""
        sums = {package: Counted(0, np.zeros(count, np.int64)) for package, count in bins.items()}
        for _, data in self._files.read():
            try:
                until, told = _TOLD.validate_json(data)
            except ValueError:
                continue
            for *version, rows, counts in told if until >= now else []:
                package = Version(*version)
                if bins.get(package) == len(counts):
                    so_far = sums[package]
                    sums[package] = Counted(so_far.rows + rows, so_far.counts + np.array(counts, np.int64))
        return sums
