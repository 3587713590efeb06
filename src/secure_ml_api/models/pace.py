"""How long the runs of a session take, and whether a row's answer hangs on its neighbours: measured when warming up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..runtimes.protocol import Session
from ..tensors import Signature, Tensors
from .parity import compare
from .sample import Sample

MANY_ROWS = 32
# A run of one row that takes longer is timed with fewer rows beside it, so that a start never waits for minutes.
_SLOW_SECONDS = 0.01
_FEW_ROWS = 4

_REPEATS = 5
_BUDGET_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """The fastest of a few runs of one row, and of ``many_rows`` rows, in this process."""

    one_seconds: float
    many_seconds: float
    many_rows: int
    rows_are_independent: bool
    """Whether many rows in one run were answered, and the first of them as it was alone."""

    def seconds(self, rows: int) -> float:
        """What a run of ``rows`` should take, on the line through the two measurements."""
        per_row = max(0.0, self.many_seconds - self.one_seconds) / (self.many_rows - 1)
        return self.one_seconds + max(0, rows - 1) * per_row


def measure(session: Session, sample: Sample, signature: Signature) -> Pace:
    """Run ``session`` on rows of ``sample``, once before the clock starts; raises whatever it raises on one row."""
    wanted = [spec.name for spec in signature.outputs]
    one = sample.resized(1).inputs
    alone = session.run(one, wanted)
    one_seconds = _fastest(lambda: session.run(one, wanted))
    many_rows = MANY_ROWS if one_seconds <= _SLOW_SECONDS else _FEW_ROWS
    many = sample.resized(many_rows).inputs
    try:
        together = session.run(many, wanted)
        if not _same_first_row(together, alone, many_rows, signature):
            return Pace(one_seconds, one_seconds * many_rows, many_rows, rows_are_independent=False)
        many_seconds = _fastest(lambda: session.run(many, wanted))
    except Exception:  # noqa: BLE001 - a framework may raise anything; a model of one row a run can still serve
        return Pace(one_seconds, one_seconds * many_rows, many_rows, rows_are_independent=False)
    return Pace(one_seconds, many_seconds, many_rows, rows_are_independent=True)


def _same_first_row(together: Tensors, alone: Tensors, rows: int, signature: Signature) -> bool:
    if any(len(tensor) != rows for tensor in together.values()):
        return False
    first = {name: tensor[:1] for name, tensor in together.items()}
    return not compare(first, alone, signature).differing.any()


def _fastest(run: Callable[[], object]) -> float:
    """Least time of a few runs, as whatever else the machine does only ever adds to it."""
    best = math.inf
    spent = 0.0
    for _ in range(_REPEATS):
        begun_at = time.perf_counter()
        run()
        took = time.perf_counter() - begun_at
        best, spent = min(best, took), spent + took
        if spent > _BUDGET_SECONDS:
            break
    return best
