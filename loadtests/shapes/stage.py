"""Stages, which every shape is made of, and what a shape is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..record import Point
from ..thresholds import Threshold

# Callers a second: locust has trouble with more.
FASTEST = 100


@dataclass(frozen=True, slots=True)
class Load:
    """How much load: each shape says what it makes of these. ``spawn_rate`` is in callers a second."""

    users: int
    seconds: int
    spawn_rate: int = 8
    growth: float = 1.5
    times: int = 8


@dataclass(frozen=True, slots=True)
class Stage:
    """So many callers for so long. The first ``settle_seconds``, in which callers come or go, are not measured."""

    name: str
    callers: int
    seconds: float
    spawn_rate: int
    settle_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to load a server.

    ``paced``: callers keep the pace of their scenario; others ask again as soon as they have their answer.
    ``refusals``: a 429 or 503 with Retry-After is what the shape is after, and no failure.
    ``one_token``: all callers of one process share one, so that many new ones at once are a load of predictions alone.
    ``stop``: given what the stages so far came to, and the bounds that end a run, why to stop now; "" to go on.
    """

    name: str
    words: str
    load: Load
    stages: Callable[[Load], tuple[Stage, ...]]
    scenarios: tuple[str, ...]
    paced: bool = True
    refusals: bool = False
    one_token: bool = False
    stop: Callable[[Sequence[Point], Threshold], str] = lambda points, bounds: ""


def stage_at(stages: Sequence[Stage], second: float) -> Stage | None:
    """The stage that is on ``second`` seconds after the start; None when all are over."""
    for stage in stages:
        if second < stage.seconds:
            return stage
        second -= stage.seconds
    return None


def spawn_seconds(callers: int, spawn_rate: int) -> int:
    """Whole seconds until that many more callers have started."""
    return -(-callers // spawn_rate)
