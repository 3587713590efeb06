"""The rows protocol: what fits is read exactly, what does not is named by row and feature."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import Misfit, Refusal
from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire import row_reader as row_reader_module
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.rows import decode_rows
from support.row_requests import decode
from support.signatures import ALL, ONE, column_of, mismatch, places, read_or_refused, tables, words

_LIKE_A_REQUEST = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["labels", "Bern", "secret", "\ud800"])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.sampled_from(["age", "city", "may", "must", "secret", "reading"]), inner, max_size=6),
    max_leaves=15,
)  # fmt: skip
_BODIES = st.dictionaries(st.sampled_from(["features", "instances", "outputs", "secret"]), _LIKE_A_REQUEST)


@given(st.binary(max_size=100) | _BODIES.map(lambda body: json.dumps(body).encode()), st.sampled_from(ALL))
def test_any_body_is_a_question_or_a_refusal_that_repeats_nothing(body: bytes, signature: Signature) -> None:
    question = read_or_refused(lambda: decode_rows(Payload(body), signature, 4))
    if isinstance(question, Refusal):
        assert "secret" not in words(question)
    else:
        assert 1 <= question.rows <= 4


@given(st.data(), st.sampled_from(ALL), st.booleans())
def test_rows_that_fit_arrive_exactly(data: st.DataObject, signature: Signature, named: bool) -> None:
    rows = data.draw(tables(signature))
    sent: list[Any] = rows
    if named:
        order = data.draw(st.permutations(range(len(signature.columns))))
        sent = [{signature.column_names[index]: row[index] for index in order} for row in rows]
    question = decode({"instances": sent}, signature)
    assert question.rows == len(rows)
    assert question.inputs.keys() == {spec.name for spec in signature.inputs}
    for index in range(len(signature.columns)):
        assert column_of(question.inputs, signature, index) == [row[index] for row in rows]


@given(st.data(), st.sampled_from(ALL))
def test_one_row_is_read_as_a_batch_of_one(data: st.DataObject, signature: Signature) -> None:
    row = data.draw(tables(signature, most_rows=1))[0]
    single, batch = decode({"features": row}, signature), decode({"instances": [row]}, signature)
    assert single.single
    assert not batch.single
    for name, tensor in batch.inputs.items():
        np.testing.assert_array_equal(single.inputs[name], tensor)


@pytest.mark.parametrize("signature", ALL)
def test_tensors_have_the_shapes_of_the_signature(signature: Signature) -> None:
    row = [_some(column) for column in signature.columns]
    question = decode({"instances": [row] * 3}, signature)
    for spec in signature.inputs:
        assert question.inputs[spec.name].shape == (3, *spec.shape[1:])


@pytest.mark.parametrize("row", [[1, 2, 3], [1, 2, 3, 4, 5], []])
def test_a_wrong_number_of_features_says_what_was_expected(row: list[int]) -> None:
    refusal = mismatch(lambda: decode({"features": row}))
    assert refusal.misfits[0].detail == f"expected a list of 4 features, got {len(row)}"
    assert places(refusal) == [(0, None)]


def test_an_object_with_other_features_is_told_which_are_missing() -> None:
    refusal = mismatch(lambda: decode({"features": {"sepal length": 1, "sepal width": 2, "secret": 3}}))
    assert places(refusal) == [(0, "petal length"), (0, "petal width"), (0, None)]
    assert "secret" not in words(refusal)


def test_an_object_with_too_many_features_is_told_which_there_are() -> None:
    refusal = mismatch(lambda: decode({"features": {f"secret{index}": index for index in range(5)}}))
    assert "sepal length, sepal width, petal length, petal width" in words(refusal)
    assert "secret" not in words(refusal)


def test_every_bad_row_is_named_in_order() -> None:
    rows: list[Any] = [[1, 2, 3, 4], [1, "x", 3, None], 7, [1, 2, 3], {"sepal length": 1}, [True, 2, 3, 4]]
    assert places(mismatch(lambda: decode({"instances": rows}))) == [
        (1, "sepal width"),
        (1, "petal width"),
        (2, None),
        (3, None),
        (4, None),
        (5, "sepal length"),
    ]


@pytest.mark.parametrize("bad", [[1, 2, "x", 4], [1, 2, 3], "x"])
def test_the_first_hundred_bad_rows_are_named_however_far_apart(bad: object) -> None:
    rows = [bad if index % 7 == 3 else [1, 2, 3, 4] for index in range(5000)]
    refusal = mismatch(lambda: decode({"instances": rows}, max_rows=5000))
    assert [row for row, _ in places(refusal)] == list(range(3, 5000, 7))[:100]


def test_the_first_hundred_overflows_are_named_in_order() -> None:
    rows = [[1e39, 1, 1, -1e39] if index % 2 else [1, 2, 3, 4] for index in range(500)]
    refusal = mismatch(lambda: decode({"instances": rows}))
    assert places(refusal)[:3] == [(1, "sepal length"), (1, "petal width"), (3, "sepal length")]
    assert len(refusal.misfits) == 100


def test_a_bad_row_among_rows_of_another_kind_is_found() -> None:
    rows = [{"reading": 1}, [2], {"reading": 3}, {"reading": -6}]
    assert places(mismatch(lambda: decode({"instances": rows}, ONE))) == [(1, None), (3, "reading")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"features": None},
        {"features": [1, 2, 3, 4], "instances": [[1, 2, 3, 4]]},
        {"instances": []},
        {"instances": {}},
        {"instances": None, "features": None},
        {"features": "1,2,3,4"},
        {"features": [1, 2, 3, 4], "outputs": ["labels"]},
        {"instances": [[1, 2, 3, 4]], "outputs": ["scores"]},
        {"instances": [[1, 2, 3, 4]], "outputs": ["secret"]},
        {"instances": [[1, 2, 3, 4]], "outputs": "labels"},
        {"instances": [[1, 2, 3, 4]], "outputs": {"labels": 1}},
        {"instances": [[1, 2, 3, 4]], "outputs": ["labels"] * 5},
        {"instances": [[1, 2, 3, 4]], "secret": 1},
        [],
        None,
        "features",
        4,
    ],
)
def test_another_envelope_does_not_fit_and_is_not_repeated(body: object) -> None:
    assert "secret" not in words(mismatch(lambda: decode(body)))


def test_an_unknown_field_is_told_which_there_are() -> None:
    refusal = mismatch(lambda: decode({"feature": [1, 2, 3, 4]}))
    assert refusal.misfits[0].detail == "the fields are features, instances, outputs"


def test_more_rows_than_the_server_takes_do_not_fit() -> None:
    assert decode({"instances": [[1, 2, 3, 4]] * 5}, max_rows=5).rows == 5
    refusal = mismatch(lambda: decode({"instances": [[1, 2, 3, 4]] * 6}, max_rows=5))
    assert refusal.detail == "a request may have 5 rows; this one has 6"


@pytest.mark.parametrize(
    "rows", [[["x"] * 4] * 9000, [{}] * 9000, [[]] * 9000, [{"secret": 0, "more": 1}] * 9000, [7] * 9000]
)
def test_rows_of_nothing_but_errors_stop_being_read_early(rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in misfits, which cost a hundred times the text that they are about."""
    made = 0

    def counting(*args: Any, **kwargs: Any) -> Misfit:
        nonlocal made
        made += 1
        return Misfit(*args, **kwargs)

    monkeypatch.setattr(row_reader_module, "Misfit", counting)
    refusal = mismatch(lambda: decode({"instances": rows}, max_rows=10_000))
    assert len(refusal.misfits) == 100
    assert made <= 2 * row_reader_module._BLOCK_CELLS


def test_a_wide_model_stops_reading_garbage_early(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = Signature(task="regression", columns=tuple(Column(name=f"pixel {index}") for index in range(784)))
    reader = row_reader_module.row_reader(signature)
    validated: list[int] = []
    real = reader._values

    def recording(block: list[Any], kind: type) -> Any:
        validated.append(len(block))
        return real(block, kind)

    monkeypatch.setattr(reader, "_values", recording)
    refusal = mismatch(lambda: reader.read([["x"] * 784] * 500))
    assert len(refusal.misfits) == 100
    assert sum(validated) * 784 <= row_reader_module._BLOCK_CELLS


def _some(column: Column) -> object:
    if column.is_text:
        return column.choices[0] if column.choices else "text"
    return True if column.datatype == "BOOL" else 1
