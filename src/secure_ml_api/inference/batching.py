"""Whether merging callers pays for a model, decided by what its runs and a hand-over between threads cost here."""

from __future__ import annotations

from ..models.model import Model
from ..setting_sections import BatchingSettings
from .hand_over import hand_over_seconds

# Merging must save this part of what the rows cost alone: less is within the error of the measurement.
_CLEARLY = 0.5
# A request that threads answer and run costs some 300 µs more than one that is answered where it arrives: four
# wake-ups, and threads that take the interpreter from each other. A run shorter than that waits for nothing and for
# nobody.
_QUICK_SECONDS = 300e-6
# What it costs to read one number, in the quickest of the formats that are text. A run that takes no longer than that
# much of what was read for it does not keep others waiting longer than they do anyhow.
_READ_SECONDS = 10e-9


class Batching:
    """The rules of one worker: the settings, each model's own wishes and pace, and the cost of a hand-over."""

    def __init__(self, settings: BatchingSettings) -> None:
        self._settings = settings
        self._hand_over_seconds = 0.0
        self._distrusted: set[Model] = set()

    def measure_hand_over(self) -> None:
        """In the worker, after the fork: it starts threads, and ends them."""
        self._hand_over_seconds = hand_over_seconds()

    def is_quick(self, model: Model, rows: int) -> bool:
        """Whether a run of ``rows``, or of fewer, costs less than reading them and handing the request to a thread.

        Such a run is not worth waiting for a place, nor company; False for a model that was not measured, or that is
        distrusted.
        """
        pace = model.pace
        if pace is None or model in self._distrusted:
            return False
        hand_over_seconds = max(self._hand_over_seconds, _QUICK_SECONDS)
        read_seconds = rows * len(model.signature.columns) * _READ_SECONDS
        # Both are straight lines over the rows: what holds for one row and for ``rows`` holds for all between.
        return pace.one_seconds <= hand_over_seconds and pace.seconds(rows) <= hand_over_seconds + read_seconds

    def are_quicker_together(self, model: Model, rows: int) -> bool:
        """Whether callers who bring ``rows`` in all to one thread should share a run, which is quick then."""
        pace = model.pace
        if pace is None or not pace.rows_are_independent or "never" in self._wishes(model):
            return False
        if rows > (model.manifest.max_batch_rows or self._settings.max_batch_rows) or not self.is_quick(model, rows):
            return False
        return pace.many_seconds / pace.many_rows < _CLEARLY * pace.one_seconds

    def distrust(self, model: Model) -> None:
        """From now on no run of ``model`` counts as quick, as one was not."""
        self._distrusted.add(model)

    def bounds(self, model: Model) -> tuple[int, float]:
        """Most rows of one merged run, 1 when this model's are not merged, and how long a run waits to fill."""
        settings, manifest = self._settings, model.manifest
        if not self._merges(model):
            return 1, 0.0
        most_rows = manifest.max_batch_rows or settings.max_batch_rows
        linger_seconds = manifest.max_batch_delay_seconds
        return most_rows, settings.max_delay_seconds if linger_seconds is None else linger_seconds

    def _merges(self, model: Model) -> bool:
        wishes, pace = self._wishes(model), model.pace
        if "never" in wishes or (pace is not None and not pace.rows_are_independent):
            return False
        if "always" in wishes:
            return True
        if pace is None:
            return False
        merged_row_seconds = pace.many_seconds / pace.many_rows
        saved_seconds = pace.one_seconds - merged_row_seconds
        return saved_seconds > max(self._hand_over_seconds, _CLEARLY * pace.one_seconds)

    def _wishes(self, model: Model) -> tuple[str, str]:
        return self._settings.enabled, model.manifest.batching or "auto"
