"""Everything that is known of a run: its phases, what came back, and how the server and the load generator fared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .figures import Figures
from .timeline import Timeline


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run with one number of callers, in seconds since 1970; its beginning is not measured."""

    name: str
    callers: int
    began: float
    ended: float
    settle_seconds: float = 0.0

    def seconds(self) -> range:
        """The whole seconds that are measured: after it has settled, and before it ended."""
        return range(math.ceil(self.began + self.settle_seconds), math.floor(self.ended))


@dataclass(frozen=True, slots=True)
class Point:
    """What a phase came to."""

    name: str
    callers: int
    seconds: int
    figures: Figures

    @property
    def crowd(self) -> str:
        """The callers, in words."""
        return "1 caller" if self.callers == 1 else f"{self.callers} callers"

    @property
    def per_second(self) -> float:
        """Requests that were answered a second."""
        return self.figures.answered / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a second; None is what cannot be seen from here. CPU is in cores: 1.0 is one of them, fully used."""

    second: int
    callers: int
    generator_cores: float | None = None
    server_cores: float | None = None
    server_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A process that sent requests and went away before the run was over, and the second in which that was noticed."""

    name: str
    second: int


@dataclass(slots=True)
class Record:
    """A run. ``facts`` are words for its report, by what they are about."""

    shape: str
    facts: dict[str, str] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    samples: list[Sample] = field(default_factory=list)
    requests: list[Figures] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lost_workers: list[LostWorker] = field(default_factory=list)
    stopped_because: str = ""

    def points(self, *, without_last_seconds: int = 0) -> list[Point]:
        """One for each phase that lasted long enough for a whole second to be measured.

        ``without_last_seconds`` of each are left out, for reports that are still on their way.
        """
        points = []
        for phase in self.phases:
            seconds = phase.seconds()
            seconds = seconds[: max(0, len(seconds) - without_last_seconds)]
            if seconds:
                tally = self.timeline.within(seconds)
                points.append(Point(phase.name, phase.callers, len(seconds), tally.figures(phase.name)))
        return points

    def phase(self, name: str) -> Phase | None:
        """The phase of that name, when the run came so far."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        data["timeline"] = self.timeline.as_data()
        data["phases"] = [asdict(phase) for phase in self.phases]
        data["samples"] = [asdict(sample) for sample in self.samples]
        data["requests"] = [_figures_data(figures) for figures in self.requests]
        data["lost_workers"] = [asdict(worker) for worker in self.lost_workers]
        path.write_text(json.dumps(data), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Record:
        """What ``write`` wrote."""
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        data["timeline"] = Timeline.of_data(data["timeline"])
        data["phases"] = [Phase(**phase) for phase in data["phases"]]
        data["samples"] = [Sample(**sample) for sample in data["samples"]]
        data["requests"] = [_figures(figures) for figures in data["requests"]]
        data["lost_workers"] = [LostWorker(**worker) for worker in data["lost_workers"]]
        return cls(**data)


def _figures_data(figures: Figures) -> dict[str, Any]:
    data: dict[str, Any] = {each.name: getattr(figures, each.name) for each in fields(figures)}
    return data | {"times_ms": [list(pair) for pair in figures.times_ms.items()]}


def _figures(data: Mapping[str, Any]) -> Figures:
    return Figures(**{**data, "times_ms": dict(data["times_ms"])})
