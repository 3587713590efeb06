"""A sample of rows is bounded, its copies are its own, and nobody waits for it."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.row_sample import RowSample
from secure_ml_api.tensors import Signature, Tensors
from support.signatures import FLAGS, IRIS, MIXED

NAMES = IRIS.column_names


def rows_from(first: int, count: int) -> Tensors:
    """Rows of IRIS that are the numbers from ``first`` on."""
    return {"input": np.arange(first, first + count, dtype=np.float32)[:, None].repeat(4, axis=1)}


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 30))
def test_no_more_rows_are_kept_than_are_wanted_and_none_twice(requests: list[int], most: int) -> None:
    sample = RowSample(IRIS, NAMES, most)
    for number, rows in enumerate(requests):
        sample.offer(rows_from(100 * number, rows), rows)
    taken = [row for part in sample.take() for row in part[:, 0].tolist()]
    assert len(taken) <= most
    assert len(taken) >= min(most, sum(requests)) / 2
    assert len(set(taken)) == len(taken)
    assert sample.take() == []


def test_of_many_rows_some_from_beginning_to_end_are_taken() -> None:
    sample = RowSample(IRIS, NAMES, 5)
    sample.offer(rows_from(0, 100), 100)
    assert sample.take()[0][:, 0].tolist() == [0, 20, 40, 60, 80]


def test_after_the_taking_there_is_room_again() -> None:
    sample = RowSample(IRIS, NAMES, 1)
    for number in range(3):
        sample.offer(rows_from(number, 1), 1)
        sample.offer(rows_from(9, 1), 1)
        assert sample.take()[0][0, 0] == number


def test_what_was_taken_stays_when_the_memory_of_the_request_is_used_again() -> None:
    inputs = rows_from(7, 1)
    sample = RowSample(IRIS, NAMES, 9)
    sample.offer(inputs, 1)
    inputs["input"][:] = 0
    assert sample.take()[0].tolist() == [[7] * 4]


@pytest.mark.parametrize(
    ("signature", "names", "inputs", "taken"),
    [
        (IRIS, (NAMES[3], NAMES[1]), {"input": np.array([[1, 2, 3, 4]], np.float32)}, [[4, 2]]),
        (FLAGS, ("on", "off"), {"input": np.array([[True, False]])}, [[1, 0]]),
        (
            MIXED,
            ("age", "visits"),
            {
                "age": np.array([[33]], np.float32),
                "note": np.array([["x"]], object),
                "visits": np.array([[2]], np.int16),
            },
            [[33, 2]],
        ),
    ],
    ids=["some columns", "truth values", "beside texts"],
)
def test_the_named_features_are_taken(
    signature: Signature, names: tuple[str, ...], inputs: Tensors, taken: list[list[float]]
) -> None:
    sample = RowSample(signature, names, 9)
    sample.offer(inputs, 1)
    assert sample.take()[0].tolist() == taken


def test_who_finds_another_at_it_passes_and_does_not_wait() -> None:
    sample = RowSample(IRIS, NAMES, 9)
    with sample._lock:
        other = Thread(target=sample.offer, args=(rows_from(0, 1), 1))
        other.start()
        other.join(30)
        assert not other.is_alive()
    assert sample.take() == []
