"""Whether the rows that models are asked are still like those they were packed with, found out beside the requests.

A request copies a few of its rows at most; housekeeping counts them, once a second, and whoever is asked for the
metrics compares the counts of all workers with the references in the packages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from ..models.model import Model
from ..models.reference import Reference
from ..setting_sections import DriftSettings
from ..telemetry.feature_drift import FeatureDrift
from ..tensors import Tensors
from .row_sample import RowSample
from .tally import Bins, Tally
from .tally_files import Counted, TallyFiles, Version

log = logging.getLogger(__name__)


class _Watched:
    """A model that has a reference, with what was seen of its rows."""

    def __init__(self, model: Model, reference: Reference, settings: DriftSettings) -> None:
        self.version = _version(model)
        self.bins = Bins(reference)
        self.sample = RowSample(model.signature, self.bins.names, settings.rows_per_second)
        self.tally = Tally(self.bins, settings.window_seconds)


class Drift:
    """One worker's; safe to build before a fork, and without a directory it watches nothing."""

    def __init__(self, settings: DriftSettings = DriftSettings(), directory: Path | None = None) -> None:  # noqa: B008 - frozen
        self._settings = settings
        self._files = TallyFiles(directory) if directory is not None and settings.enabled else None
        self._slot = 0
        self._watched: dict[Model, _Watched] = {}
        """Never changed, only replaced, so that requests need no lock."""
        self._changing = Lock()
        self._told: dict[Version, int] = {}
        """Of how many rows the others know."""

    def start_worker(self, slot: int, models: Iterable[Model]) -> None:
        """Watch ``models`` from now on, for the worker in ``slot``."""
        self._slot = slot
        self.watch(models)

    def watch(self, models: Iterable[Model]) -> None:
        """Watch ``models`` and no others; what was counted of a package that stays goes on."""
        if self._files is None:
            return
        with self._changing:
            before = {watched.version: watched for watched in self._watched.values()}
            self._watched = {
                model: before.get(_version(model)) or _Watched(model, reference, self._settings)
                for model in models
                if (reference := model.manifest.reference) is not None
            }

    def offer(self, model: Model, inputs: Tensors, rows: int) -> None:
        """``model`` has answered ``inputs``; never raises and never waits."""
        watched = self._watched.get(model)
        if watched is None:
            return
        try:
            watched.sample.offer(inputs, rows)
        except Exception:
            log.exception("a model's drift is not watched any more", extra={"model": model.name})
            with self._changing:
                self._watched = {each: kept for each, kept in self._watched.items() if each is not model}

    def tally(self) -> None:
        """Count what was copied, and tell the other workers; for housekeeping."""
        if self._files is None or not self._watched:
            return
        now = time.monotonic()
        is_new = False
        tallies: dict[Version, Counted] = {}
        for watched in self._watched.values():
            taken = watched.sample.take()
            watched.tally.add(taken, now)
            tallies[watched.version] = Counted(*watched.tally.counted(now))
            is_new |= bool(taken)
        rows = {version: counted.rows for version, counted in tallies.items()}
        if is_new or rows != self._told:
            with suppress(OSError):  # told again a second later
                self._files.write(self._slot, tallies, now + self._settings.window_seconds)
                self._told = rows

    def found(self) -> Iterator[FeatureDrift]:
        """What all workers of the machine have counted, of the models that are watched and were asked often enough."""
        if self._files is None:
            return
        all_watched = self._watched.values()
        sums = self._files.read(time.monotonic(), {watched.version: len(watched.bins) for watched in all_watched})
        for watched in all_watched:
            counted = sums[watched.version]
            if counted.rows >= self._settings.min_rows:
                name, version, _ = watched.version
                yield FeatureDrift(name, version, counted.rows, watched.bins.drift(counted.counts))


def _version(model: Model) -> Version:
    return Version(model.name, model.version, model.digest)
