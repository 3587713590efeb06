"""The Open Inference Protocol in JSON: tensors as tritonclient, KServe and data-frame codecs send them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import MalformedBody, Refusal
from secure_ml_api.tensors import NUMPY_DTYPES, Column, Signature
from secure_ml_api.wire.oip import OipQuestion, decode_oip
from secure_ml_api.wire.question import Payload
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

_WITH_AN_ELEMENT = '{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, …]}]}'


def tensor(name: str, shape: list[int], datatype: str, data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def decode(inputs: list[dict[str, Any]], signature: Signature = IRIS, max_rows: int = 1000, **more: Any) -> OipQuestion:
    return decode_oip(Payload(json.dumps({"inputs": inputs, **more}).encode()), signature, max_rows)


def iris(shape: list[int], data: Any, **more: Any) -> OipQuestion:
    return decode([tensor("input", shape, "FP32", data)], **more)


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


@pytest.mark.parametrize("value", [None, True, "1", [1], {}, "1e400"])
def test_an_element_of_another_type_is_named_by_row(value: Any) -> None:
    refusal = mismatch(lambda: iris([2, 4], [1, 2, 3, 4, 5, 6, value, 8]))
    assert places(refusal) == [(1, "input")]


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e39", "9" * 400, "9" * 4000])
def test_a_number_past_its_datatype_does_not_fit(text: str) -> None:
    body = _WITH_AN_ELEMENT.replace("…", text)
    mismatch(lambda: decode_oip(Payload(body.encode()), IRIS, 10))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "9" * 5000])
def test_what_json_cannot_say_is_malformed(text: str) -> None:
    body = _WITH_AN_ELEMENT.replace("…", text)
    with pytest.raises(MalformedBody):
        decode_oip(Payload(body.encode()), IRIS, 10)


@pytest.mark.parametrize("datatype", ["FP64", "INT32", "BYTES", "FP16", "BOOL"])
def test_the_matrix_has_the_models_datatype(datatype: str) -> None:
    value = {"BYTES": "x", "BOOL": True}.get(datatype, 1)
    refusal = mismatch(lambda: decode([tensor("input", [1, 4], datatype, [value] * 4)]))
    assert places(refusal) == [(None, "input")]


def test_fp16_has_no_form_in_json() -> None:
    refusal = mismatch(lambda: decode([tensor("input", [1, 4], "FP16", [1, 2, 3, 4])]))
    assert refusal.detail == "FP16 has no JSON form; send FP32"


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 5), ("UINT16", 5), ("INT64", 5), ("FP64", 5.0)])
def test_number_columns_of_other_datatypes_are_converted(datatype: str, value: float) -> None:
    inputs = [tensor(name, [1], datatype, [value]) for name in IRIS.column_names]
    assert decode(inputs).inputs["input"].tolist() == [[5, 5, 5, 5]]


@pytest.mark.parametrize(
    ("signature", "datatype", "value"),
    [
        (IRIS, "FP64", 1e39),
        (IRIS, "FP64", -1e300),
        (IRIS, "BOOL", True),
        (IRIS, "BYTES", "1"),
        (COUNTS, "FP32", 1.5),
        (COUNTS, "FP64", 1.0),
        (COUNTS, "UINT64", 2**63),
        (COUNTS, "BOOL", True),
        (FLAGS, "UINT8", 1),
    ],
)
def test_a_column_that_would_lose_its_value_in_the_matrix_does_not_fit(
    signature: Signature, datatype: str, value: Any
) -> None:
    inputs = [tensor(column.name, [1], datatype, [value]) for column in signature.columns]
    assert places(mismatch(lambda: decode(inputs, signature)))[0][1] == signature.columns[0].name


def test_integers_do_not_wrap_around_in_a_narrower_model() -> None:
    signature = Signature(task="regression", columns=(Column(name="a", datatype="INT8"),))
    assert decode([tensor("a", [2], "INT64", [127, -128])], signature).inputs["input"].tolist() == [[127], [-128]]
    assert places(mismatch(lambda: decode([tensor("a", [3], "INT64", [1, 300, -129])], signature))) == [
        (1, "a"),
        (2, "a"),
    ]


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


def test_null_is_nan_where_the_column_allows_it_and_a_misfit_elsewhere() -> None:
    question = decode([tensor("input", [2, 2], "FP32", [None, 1, 2, 3])], GAPS)
    assert np.isnan(question.inputs["input"]).tolist() == [[True, False], [False, False]]
    for inputs in (
        [tensor("input", [2, 2], "FP32", [None, 1, 2, None])],
        [tensor("may", [2], "FP32", [None, 2]), tensor("must", [2], "FP32", [1, None])],
    ):
        assert mismatch(lambda sent=inputs: decode(sent, GAPS)).misfits  # type: ignore[misc]


def test_values_out_of_bounds_are_named_row_by_row() -> None:
    rows = 150
    inputs = [
        tensor("age", [rows, 1], "FP32", [-1] * rows),
        tensor("city", [rows, 1], "BYTES", ["Bern\0"] * rows),
        tensor("score", [rows, 1], "FP64", [None] * rows),
        tensor("note", [rows, 1], "BYTES", [""] * rows),
        tensor("visits", [rows, 1], "INT16", [0] * rows),
    ]
    refusal = mismatch(lambda: decode(inputs, MIXED))
    assert places(refusal) == [(row, name) for row in range(50) for name in ("age", "city")]


def test_choices_are_held_against_long_texts_without_copying_them() -> None:
    """As an array of equally long strings these would take 4 GB."""
    cities = ["Bern"] * 999 + ["x" * 1_000_000]
    inputs = [
        tensor("age", [1000], "FP32", [1] * 1000),
        tensor("city", [1000], "BYTES", cities),
        tensor("score", [1000], "FP64", [1] * 1000),
        tensor("note", [1000], "BYTES", [""] * 1000),
        tensor("visits", [1000], "INT16", [0] * 1000),
    ]
    assert places(mismatch(lambda: decode(inputs, MIXED))) == [(999, "city")]


def test_a_bound_past_the_reach_of_the_datatype_bounds_nothing() -> None:
    signature = Signature(task="regression", columns=(Column(name="x", minimum=-1e300, maximum=1e300),))
    assert decode([tensor("input", [1, 1], "FP32", [3e38])], signature).rows == 1


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


def test_unknown_outputs_do_not_fit_and_known_ones_are_answered_in_the_order_asked() -> None:
    wanted = [{"name": "probabilities"}, {"name": "label"}, {"name": "label"}]
    assert iris([1, 4], [1, 2, 3, 4], outputs=wanted).wanted == ("probabilities", "label")
    assert iris([1, 4], [1, 2, 3, 4], outputs=[]).wanted == ("label", "probabilities")
    refusal = mismatch(lambda: iris([1, 4], [1, 2, 3, 4], outputs=[{"name": "secret"}]))
    assert "label, probabilities" in refusal.detail
    assert "secret" not in words(refusal)


def test_the_answer_carries_model_id_and_flat_tensors() -> None:
    question = iris([2, 4], [1] * 8, id="a-1", model_name="other")
    outputs = {
        "label": np.array([2, 0]),
        "probabilities": np.asfortranarray(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], dtype=np.float32)),
    }
    answer = question.answer(outputs, "iris", "3")
    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {
        "model_name": "iris",
        "model_version": "3",
        "id": "a-1",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [2, 0]},
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "data": [0.1, 0.2, 0.7, 0.5, 0.25, 0.25]},
        ],
    }


def test_no_id_no_id_in_the_answer_and_only_the_outputs_asked_for() -> None:
    question = iris([1, 4], [1, 2, 3, 4], outputs=[{"name": "label"}])
    answer = json.loads(question.answer({"label": np.array([1])}, "iris", "1").body)
    assert "id" not in answer
    assert [output["name"] for output in answer["outputs"]] == ["label"]


def test_one_text_column_takes_its_texts_flat() -> None:
    assert decode([tensor("text", [2], "BYTES", ["ham", "\U0001f600"])], TEXT).inputs["text"].tolist() == [
        ["ham"],
        ["\U0001f600"],
    ]
