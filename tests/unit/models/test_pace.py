"""What warming up finds out about a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from secure_ml_api.models.pace import MANY_ROWS, Pace, measure
from secure_ml_api.models.sample import read_sample
from secure_ml_api.tensors import Tensors
from support.packages import SIGNATURE, WEIGHTS, weighing_sample

SAMPLE = read_sample(weighing_sample(), SIGNATURE)


class Weighing:
    """Answers right; ``runs`` holds the number of rows of each run."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        rows = inputs["input"]
        self.runs.append(len(rows))
        return {name: self.weigh(rows) for name in outputs}

    def weigh(self, rows: Any) -> Any:
        return rows @ np.array(WEIGHTS, np.float32)


class Centring(Weighing):
    def weigh(self, rows: Any) -> Any:
        return super().weigh(rows - rows.mean(axis=0))


class Summing(Weighing):
    def weigh(self, rows: Any) -> Any:
        return super().weigh(rows).sum(keepdims=True)


class OneByOne(Weighing):
    def weigh(self, rows: Any) -> Any:
        if len(rows) != 1:
            raise ValueError("this graph takes one row")
        return super().weigh(rows)


class Broken(Weighing):
    def weigh(self, rows: Any) -> Any:
        raise RuntimeError("broken")


def test_one_row_and_many_are_timed_once_they_are_warm() -> None:
    session = Weighing()
    pace = measure(session, SAMPLE, SIGNATURE)
    assert pace.rows_are_independent
    assert pace.many_rows == MANY_ROWS
    assert pace.one_seconds > 0
    assert pace.many_seconds > 0
    assert set(session.runs) == {1, MANY_ROWS}
    assert min(session.runs.count(1), session.runs.count(MANY_ROWS)) >= 2


@pytest.mark.parametrize("kind", [Centring, Summing, OneByOne])
def test_a_model_whose_rows_hang_together_is_found_out_and_still_serves(kind: type[Weighing]) -> None:
    assert not measure(kind(), SAMPLE, SIGNATURE).rows_are_independent


def test_a_model_that_fails_on_one_row_raises_what_it_raises() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        measure(Broken(), SAMPLE, SIGNATURE)


def test_a_small_sample_is_repeated_and_a_large_one_cut() -> None:
    assert SAMPLE.resized(6).inputs["input"].tolist() == [[0, 0], [1, 0], [0, 1], [2, 3], [0, 0], [1, 0]]
    assert SAMPLE.resized(2).answers["value"].tolist() == [0, 1]


def test_the_time_of_a_run_is_on_the_line_through_what_was_measured() -> None:
    pace = Pace(1.0, 32.0, 32, rows_are_independent=True)
    assert [pace.seconds(rows) for rows in (0, 1, 2, 32, 100)] == [1, 1, 2, 32, 100]
    flat = Pace(1.0, 0.5, 32, rows_are_independent=True)
    assert flat.seconds(1000) == 1.0
