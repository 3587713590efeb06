"""Which candidate is kept, on a clock that only moves when a session runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from secure_ml_api.models.manifest import Timing
from secure_ml_api.packaging import stopwatch
from secure_ml_api.packaging.stopwatch import ROW_COUNTS, Entrant, fastest, geometric_mean, race
from secure_ml_api.tensors import Tensors

ROWS = {"input": np.arange(3000, dtype=np.float32).reshape(1000, 3)}


class Stage:
    """A clock, and sessions that move it by what their runs cost."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen: list[Tensors] = []

    def clock(self) -> float:
        return self.now

    def entrant(self, name: str, seconds: Callable[[int], float], rows: Tensors = ROWS) -> Entrant:
        return Entrant(name, Acting(self, seconds), rows, ["value"])


class Acting:
    def __init__(self, stage: Stage, seconds: Callable[[int], float]) -> None:
        self._stage, self._seconds = stage, seconds

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        assert outputs == ["value"]
        self._stage.seen.append(inputs)
        self._stage.now += self._seconds(len(inputs["input"]))
        return {"value": np.zeros(len(inputs["input"]))}


def timings(**columns: tuple[float, float, float]) -> list[Timing]:
    return [
        Timing(graph=name, rows=rows, microseconds=time)
        for name, times in columns.items()
        for rows, time in zip(ROW_COUNTS, times, strict=True)
    ]


def test_the_table_holds_the_median_of_each_entrant_on_1_32_and_1000_rows() -> None:
    stage = Stage()
    table = race(
        [stage.entrant("a", lambda rows: 1e-5 * rows), stage.entrant("b", lambda rows: 3e-5)], clock=stage.clock
    )
    assert {(timing.graph, timing.rows): round(timing.microseconds, 1) for timing in table} == {
        ("a", 1): 10.0,
        ("a", 32): 320.0,
        ("a", 1000): 10000.0,
        ("b", 1): 30.0,
        ("b", 32): 30.0,
        ("b", 1000): 30.0,
    }


def test_a_single_slow_run_does_not_count() -> None:
    stage = Stage()
    hiccup = iter([0.0005, 0.001, *[1e-5] * 100_000])
    table = race([stage.entrant("a", lambda rows: next(hiccup))], clock=stage.clock)
    assert {round(timing.microseconds, 1) for timing in table} == {10.0}


def test_a_slow_entrant_is_run_a_few_times_and_no_more() -> None:
    stage = Stage()
    race([stage.entrant("a", lambda rows: 5.0)], clock=stage.clock)
    assert len(stage.seen) == 3 * len(ROW_COUNTS)


def test_a_clock_too_coarse_for_one_run_ends_all_the_same() -> None:
    stage = Stage()
    table = race([stage.entrant("a", lambda rows: 0.0)], clock=stage.clock)
    assert all(timing.microseconds > 0 for timing in table)


def test_runs_on_one_row_are_on_different_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_SECONDS_EACH", 0.04)
    stage = Stage()
    race([stage.entrant("a", lambda rows: 1e-5)], clock=stage.clock)
    assert len({float(inputs["input"][0, 0]) for inputs in stage.seen if len(inputs["input"]) == 1}) > 30


def test_fewer_rows_than_are_asked_for_are_repeated() -> None:
    stage = Stage()
    race([stage.entrant("a", lambda rows: 1e-4, {"input": ROWS["input"][:7]})], clock=stage.clock)
    assert {len(inputs["input"]) for inputs in stage.seen} == set(ROW_COUNTS)


def test_each_number_of_rows_weighs_alike() -> None:
    table = timings(stock=(100.0, 100.0, 100.0), quick_alone=(10.0, 100.0, 300.0), quick_together=(300.0, 100.0, 50.0))
    assert fastest(table) == "quick_alone"
    assert geometric_mean(table, "stock") == pytest.approx(100.0)


def test_a_later_candidate_that_is_faster_by_a_hair_is_not_taken() -> None:
    assert fastest(timings(plain=(10.0, 20.0, 30.0), other=(9.95, 19.9, 29.9))) == "plain"
    assert fastest(timings(plain=(10.0, 20.0, 30.0), other=(9.5, 19.0, 28.5))) == "other"
