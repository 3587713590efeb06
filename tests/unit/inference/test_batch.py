"""Merged, run and split again, everyone gets what their rows alone would have got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.batch import merge, split
from secure_ml_api.tensors import Tensors

OUTPUTS = ("label", "probabilities")


@dataclass
class Rows:
    inputs: Tensors
    rows: int
    wanted: tuple[str, ...] = OUTPUTS


def numbers(rows: int, width: int = 2, dtype: Any = np.float32) -> Rows:
    return Rows({"input": np.zeros((rows, width), dtype)}, rows)


def model(inputs: Tensors, wanted: tuple[str, ...]) -> Tensors:
    """A model that judges each row by itself: how long its text is, and its number beside it."""
    lengths = np.array([len(text) for text in inputs["text"][:, 0]], np.int64)
    made: Tensors = {"label": lengths, "probabilities": np.column_stack([inputs["number"][:, 0], lengths])}
    return {name: made[name] for name in wanted}


@st.composite
def parts(draw: st.DrawFn) -> Rows:
    texts = draw(st.lists(st.text(max_size=5), max_size=6))
    values = draw(st.lists(st.integers(-1000, 1000), min_size=len(texts), max_size=len(texts)))
    text = np.array([[text] for text in texts], np.object_).reshape(-1, 1)
    number = np.array(values, np.float64).reshape(-1, 1)
    wanted = draw(st.permutations(OUTPUTS).flatmap(lambda names: st.sampled_from([names, names[:1]])))
    return Rows({"text": text, "number": number}, len(texts), tuple(wanted))


@given(st.lists(parts(), min_size=1, max_size=8))
def test_everyone_gets_what_their_rows_alone_would_get(callers: list[Rows]) -> None:
    batch = merge(callers)
    answers = split(model(batch.inputs, batch.wanted), batch.row_counts)
    assert len(answers) == len(callers)
    for caller, answer in zip(callers, answers, strict=True):
        alone = model(caller.inputs, caller.wanted)
        for name in caller.wanted:
            assert answer[name].dtype == alone[name].dtype
            assert answer[name].shape == alone[name].shape
            assert answer[name].tolist() == alone[name].tolist()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_the_parts_are_all_rows_once_and_in_order(row_counts: list[int]) -> None:
    rows = np.arange(sum(row_counts))
    answers = split({"row": rows}, row_counts)
    assert [len(answer["row"]) for answer in answers] == row_counts
    assert np.concatenate([answer["row"] for answer in answers]).tolist() == rows.tolist()


def test_no_two_callers_share_memory() -> None:
    whole = np.arange(8).reshape(4, 2)
    first, second = split({"row": whole}, [2, 2])
    assert not np.shares_memory(first["row"], whole)
    assert not np.shares_memory(first["row"], second["row"])


def test_an_output_that_lies_across_memory_is_handed_out_in_one_piece() -> None:
    for part in split({"row": np.asfortranarray(np.arange(8).reshape(4, 2))}, [1, 3]):
        assert part["row"].flags.c_contiguous


def test_every_output_that_anyone_wants_is_run_for_once() -> None:
    callers = [Rows(numbers(1).inputs, 1, wanted) for wanted in [("label",), OUTPUTS, ("probabilities",), ("label",)]]
    assert merge(callers).wanted == OUTPUTS


@pytest.mark.parametrize(
    "other",
    [
        numbers(1, dtype=np.float64),
        numbers(1, dtype=np.int32),
        numbers(1, dtype=">f4"),
        numbers(1, width=3),
        Rows({"input": np.zeros((1, 2, 1), np.float32)}, 1),
        Rows({"another": np.zeros((1, 2), np.float32)}, 1),
        Rows({**numbers(1).inputs, "another": np.zeros((1, 2), np.float32)}, 1),
        Rows(numbers(2).inputs, 1),
        Rows(numbers(1).inputs, 2),
    ],
    ids=["double", "integers", "big-endian", "wider", "deeper", "renamed", "more", "longer", "shorter"],
)
def test_parts_that_are_not_alike_are_never_joined(other: Rows) -> None:
    for callers in ([numbers(1), other], [other, numbers(1)]):
        with pytest.raises(ValueError, match="batch"):
            merge(callers)


@pytest.mark.parametrize("output", [np.zeros(3), np.zeros(5), np.zeros((1, 4)), np.float32(1)])
def test_an_output_without_exactly_one_row_each_is_not_split(output: Any) -> None:
    with pytest.raises(ValueError, match="one row for each row"):
        split({"label": np.zeros(4), "other": np.asarray(output)}, [1, 3])
