"""Tells locust, each second, how many callers there should be. Imports locust, as callers.py does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import LoadTestShape
from locust.runners import MasterRunner

from ..recorder import Recorder
from ..thresholds import ShapeThreshold, read_thresholds
from .catalogue import SHAPES
from .stage import Load, Shape, stage_at

# Counts of workers come once a second, and a little late.
_REPORT_SECONDS = 2
_FOR_EVER = 10**9


class ChosenShape(LoadTestShape):
    """The shape of the command line. The plain one obeys locust's own options too, as its web page has them."""

    use_common_options = True
    recorder: Recorder

    def tick(self) -> tuple[int, float] | None:
        """Callers and how many start each second, or None when the run is over."""
        options = self.options()
        shape = SHAPES[options.shape]
        stages = shape.stages(chosen_load(options))
        stage = stage_at(stages, self.get_run_time())  # type: ignore[no-untyped-call]
        if stage != self.recorder.stage:
            self.recorder.enter(None)
            if self._is_enough(shape, options):
                return None
            self.recorder.enter(stage)
        return None if stage is None else (stage.callers, float(stage.spawn_rate))

    def options(self) -> Any:
        assert self.runner is not None
        return self.runner.environment.parsed_options

    def _is_enough(self, shape: Shape, options: Any) -> bool:
        bounds = read_thresholds(Path(options.thresholds)).shapes.get(shape.name, ShapeThreshold())
        late = _REPORT_SECONDS if isinstance(self.runner, MasterRunner) else 0
        record = self.recorder.record
        record.stopped_because = shape.stop(record.points(without_last_seconds=late), bounds.stop)
        return bool(record.stopped_because)


def chosen_load(options: Any) -> Load:
    """The load that the command line asks for; locust's own options count for the plain shape."""
    usual = SHAPES[options.shape].load
    plain = options.shape == "plain"
    seconds = options.stage_seconds or (options.run_time if plain and options.run_time else None)
    return Load(
        users=options.most_users or (options.num_users if plain and options.num_users else usual.users),
        seconds=int(seconds or (_FOR_EVER if plain else usual.seconds)),
        spawn_rate=int(
            options.start_rate or (options.spawn_rate if plain and options.spawn_rate else usual.spawn_rate)
        ),
        growth=options.growth,
        times=options.times,
    )
