"""Measures candidates against each other, and says which of them is kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from ..models.manifest import Timing
from ..runtimes.protocol import Session
from ..tensors import Tensors

# One caller's row, what batching merges under load, and a batch job.
ROW_COUNTS = (1, 32, 1000)
# A later candidate that is not faster by this much is the same: the earlier, plainer one stays.
_MARGIN = 0.02

_FEWEST_TURNS = 3
_MOST_TURNS = 100
_SECONDS_EACH = 0.04
# A turn is this many runs in a row: the first finds the caches as the entrant before it left them, and is not counted.
_RUNS_A_TURN = 5
# From here on a run is long enough for that to be lost in it.
_SLOW_SECONDS = 0.002
# Different rows each time: a processor that has seen the same few rows before guesses every branch of a tree.
_WINDOWS = 64

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A session with the rows that it is timed on, as its input tensors, and the outputs that it is asked for."""

    name: str
    session: Session
    rows: Tensors
    outputs: Sequence[str]


def race(entrants: Sequence[Entrant], clock: Clock = time.perf_counter) -> tuple[Timing, ...]:
    """The median time of a run of each entrant on 1, 32 and 1000 rows, all outputs asked for.

    The entrants take turns, so that whatever else the machine does meets all of them alike. For each number of rows
    that goes on for some hundredths of a second each, but for _FEWEST_TURNS at least and _MOST_TURNS at most.
    """
    return tuple(timing for rows in ROW_COUNTS for timing in _heat(entrants, rows, clock))


def fastest(timings: Sequence[Timing]) -> str:
    """The entrant with the smallest geometric mean of its times, which weighs each number of rows alike.

    One that came earlier is kept when a later one is less than _MARGIN faster.
    """
    best, best_mean = "", float("inf")
    for name in dict.fromkeys(timing.graph for timing in timings):
        mean = geometric_mean(timings, name)
        if mean < best_mean * (1 - _MARGIN):
            best, best_mean = name, mean
    return best


def geometric_mean(timings: Sequence[Timing], name: str) -> float:
    """Of the times of ``name`` over the numbers of rows, in microseconds."""
    return statistics.geometric_mean(timing.microseconds for timing in timings if timing.graph == name)


def _heat(entrants: Sequence[Entrant], rows: int, clock: Clock) -> list[Timing]:
    windows = [cycle(_windows(entrant.rows, rows)) for entrant in entrants]
    taken: list[list[float]] = [[] for _ in entrants]
    finish = clock() + _SECONDS_EACH * len(entrants)
    for turn in range(_MOST_TURNS):
        if turn >= _FEWEST_TURNS and clock() >= finish:
            break
        for entrant, window, times in zip(entrants, windows, taken, strict=True):
            times.extend(_turn(entrant, window, clock))
    return [
        # A clock may be too coarse for one run; a time of nothing would have no mean with the others.
        Timing(graph=entrant.name, rows=rows, microseconds=max(round(statistics.median(times) * 1e6, 2), 0.01))
        for entrant, times in zip(entrants, taken, strict=True)
    ]


def _turn(entrant: Entrant, window: Iterator[Tensors], clock: Clock) -> list[float]:
    """Seconds of each run that counts."""
    times: list[float] = []
    for _ in range(_RUNS_A_TURN):
        inputs = next(window)
        begun = clock()
        entrant.session.run(inputs, entrant.outputs)
        times.append(clock() - begun)
        if times[0] >= _SLOW_SECONDS:
            return times
    return times[1:]


def _windows(tensors: Tensors, rows: int) -> Iterator[Tensors]:
    """Up to _WINDOWS different stretches of ``rows`` rows; fewer rows than that are repeated."""
    available = len(next(iter(tensors.values())))
    if available < rows:
        repeats = -(-rows // available)
        tensors = {name: np.concatenate([tensor] * repeats) for name, tensor in tensors.items()}
        available *= repeats
    for start in np.unique(np.linspace(0, available - rows, _WINDOWS).astype(int)).tolist():
        yield {name: np.ascontiguousarray(tensor[start : start + rows]) for name, tensor in tensors.items()}
