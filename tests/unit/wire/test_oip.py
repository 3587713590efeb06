"""The Open Inference Protocol in JSON: tensors as tritonclient, KServe and data-frame codecs send them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import Refusal
from secure_ml_api.tensors import NUMPY_DTYPES, Signature
from secure_ml_api.wire.oip import decode_oip
from secure_ml_api.wire.question import Payload
from support.oip_requests import decode, iris, tensor
from support.signatures import (
    ALL,
    COUNTS,
    FLAGS,
    GAPS,
    IRIS,
    MIXED,
    ONE,
    TEXT,
    column_of,
    mismatch,
    places,
    read_or_refused,
    tables,
    words,
)

_NAMES = st.sampled_from(["input", "age", "city", "may", "must", "reading", "text", "secret"])
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["Bern", "secret"]) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
_TENSORS = st.fixed_dictionaries(
    {
        "name": _NAMES,
        "shape": st.lists(st.integers(0, 3) | st.sampled_from([2**31, 2**16, -1]), max_size=4),
        "datatype": st.sampled_from([*NUMPY_DTYPES, "secret"]),
        "data": st.lists(_DATA, max_size=5) | _DATA,
    },
    optional={"parameters": st.dictionaries(st.text(max_size=3), _DATA, max_size=2)},
)
_BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSORS, max_size=4) | _DATA},
    optional={
        "id": st.text(max_size=3) | _DATA,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["value", "label", "secret"])}), max_size=3),
        "parameters": st.fixed_dictionaries({"timeout": _DATA | st.integers(0)}) | _DATA,
        "secret": _DATA,
    },
)


@given(st.binary(max_size=60) | _BODIES.map(lambda body: json.dumps(body).encode()), st.sampled_from(ALL))
def test_any_body_is_a_question_or_a_refusal_that_repeats_nothing(body: bytes, signature: Signature) -> None:
    question = read_or_refused(lambda: decode_oip(Payload(body), signature, 4))
    if isinstance(question, Refusal):
        assert "secret" not in words(question)
    else:
        assert 1 <= question.rows <= 4
        for spec in signature.inputs:
            assert question.inputs[spec.name].shape == (question.rows, *spec.shape[1:])


@given(st.data(), st.sampled_from(ALL), st.booleans())
def test_tensors_that_fit_arrive_exactly(data: st.DataObject, signature: Signature, nested: bool) -> None:
    rows = data.draw(tables(signature))
    inputs = []
    for index, spec in enumerate(signature.inputs):
        part = rows if signature.is_matrix else [[row[index]] for row in rows]
        flat = [cell for row in part for cell in row]
        inputs.append(tensor(spec.name, [len(rows), spec.shape[1]], spec.datatype, part if nested else flat))
    question = decode(data.draw(st.permutations(inputs)), signature)
    assert question.rows == len(rows)
    for index in range(len(signature.columns)):
        assert column_of(question.inputs, signature, index) == [row[index] for row in rows]


@given(st.data(), st.sampled_from([IRIS, ONE, COUNTS, FLAGS, GAPS]), st.booleans())
def test_one_input_per_column_is_joined_to_the_models_matrix(
    data: st.DataObject, signature: Signature, flat: bool
) -> None:
    rows = data.draw(tables(signature))
    inputs = [
        tensor(column.name, [len(rows)] if flat else [len(rows), 1], column.datatype, [row[index] for row in rows])
        for index, column in enumerate(signature.columns)
    ]
    joined = decode(data.draw(st.permutations(inputs)), signature).inputs["input"]
    matrix = decode([tensor("input", list(joined.shape), signature.columns[0].datatype, rows)], signature).inputs[
        "input"
    ]
    np.testing.assert_array_equal(joined, matrix)
    assert joined.dtype == matrix.dtype


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([1, 4], [1, 2, 3]),
        ([1, 4], [1, 2, 3, 4, 5]),
        ([2, 4], [[1, 2, 3, 4], [1, 2, 3]]),
        ([2, 4], [[1, 2, 3, 4], 5]),
        ([2, 4], [[1, 2, 3, 4]]),
        ([1, 4], [[[1, 2, 3, 4]]]),
        ([1, 4], [[1, 2, 3, [4]]]),
        ([4], [1, 2, 3, 4]),
        ([1, 3], [1, 2, 3]),
        ([1, 2, 2], [1, 2, 3, 4]),
        ([1, 1, 4], [1, 2, 3, 4]),
        ([], [1]),
        ([], []),
        ([0, 4], []),
        ([0, 4], [1]),
        ([1, 0], []),
        ([0, 2**31, 2**31, 2**31, 2**31], []),
        ([2**31, 2**31], [1, 2, 3, 4]),
        ([2**31] * 8, []),
        ([1, 4], None),
        ([0, 4], None),
        ([0], None),
    ],
)
def test_data_that_does_not_fill_its_shape_or_the_model_does_not_fit(shape: list[int], data: Any) -> None:
    assert mismatch(lambda: iris(shape, data)).misfits


def test_columns_of_different_lengths_or_shapes_do_not_fit() -> None:
    short = [tensor("a", [2], "INT64", [1, 2]), tensor("b", [1], "INT64", [1])]
    assert "number of rows" in mismatch(lambda: decode(short, COUNTS)).detail
    square = [tensor(name, [2, 2], "INT64", [1, 2, 3, 4]) for name in ("a", "b")]
    assert places(mismatch(lambda: decode(square, COUNTS))) == [(None, "a")]


@pytest.mark.parametrize(
    "names", [[], ["secret"], ["input", "secret"], ["input", "input"], ["sepal length"], ["a" * 257]]
)
def test_other_names_do_not_fit_and_are_not_repeated(names: list[str]) -> None:
    refusal = mismatch(lambda: decode([tensor(name, [1, 4], "FP32", [1, 2, 3, 4]) for name in names]))
    assert "secret" not in words(refusal)


def test_a_missing_input_is_named() -> None:
    refusal = mismatch(lambda: decode([tensor("age", [1, 1], "FP32", [5])], MIXED))
    assert places(refusal) == [(None, "city"), (None, "score"), (None, "note"), (None, "visits")]


def test_rows_are_bounded_and_there_is_at_least_one() -> None:
    assert iris([5, 4], [1] * 20, max_rows=5).rows == 5
    assert iris([6, 4], [1] * 24, max_rows=6).rows == 6
    assert "5 rows" in mismatch(lambda: iris([6, 4], [1] * 24, max_rows=5)).detail


def test_a_timeout_is_read_in_microseconds_and_zero_is_none() -> None:
    row = [1, 2, 3, 4]
    assert iris([1, 4], row, parameters={"timeout": 1_500_000}).timeout_seconds == 1.5
    assert iris([1, 4], row, parameters={"timeout": 0}).timeout_seconds is None
    assert iris([1, 4], row, parameters={"timeout": 2**64 - 1}).timeout_seconds == pytest.approx(1.8e13, rel=0.1)
    assert iris([1, 4], row).timeout_seconds is None


def test_one_text_column_takes_its_texts_flat() -> None:
    assert decode([tensor("text", [2], "BYTES", ["ham", "\U0001f600"])], TEXT).inputs["text"].tolist() == [
        ["ham"],
        ["\U0001f600"],
    ]
