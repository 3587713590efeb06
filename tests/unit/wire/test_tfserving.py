"""TensorFlow Serving's REST predict in all its forms."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import Refusal
from secure_ml_api.tensors import Signature
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.tfserving import TensorFlowQuestion, decode_tensorflow
from support.signatures import (
    ALL,
    COUNTS,
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

_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["Bern", "QmVybg==", "secret"])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["b64", "input", "age", "text", "secret"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
_BODIES = st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name", "secret"]), _DATA)


def decode(body: object, signature: Signature = IRIS, max_rows: int = 1000) -> TensorFlowQuestion:
    return decode_tensorflow(Payload(json.dumps(body).encode()), signature, max_rows)


@given(st.binary(max_size=60) | _BODIES.map(lambda body: json.dumps(body).encode()), st.sampled_from(ALL))
def test_any_body_is_a_question_or_a_refusal_that_repeats_nothing(body: bytes, signature: Signature) -> None:
    question = read_or_refused(lambda: decode_tensorflow(Payload(body), signature, 4))
    if isinstance(question, Refusal):
        assert "secret" not in words(question)
    else:
        assert 1 <= question.rows <= 4


@given(st.data(), st.sampled_from(ALL), st.booleans(), st.booleans())
def test_every_form_of_a_request_that_fits_arrives_exactly(
    data: st.DataObject, signature: Signature, columnar: bool, nested: bool
) -> None:
    rows = data.draw(tables(signature))
    if signature.is_matrix:
        body: dict[str, Any] = (
            {"inputs": {"input": rows} if nested else rows}
            if columnar
            else {"instances": [{"input": row} for row in rows] if nested else rows}
        )
    else:
        names = signature.column_names
        cells = [[[cell] if nested else cell for cell in row] for row in rows]
        body = (
            {"inputs": {name: [row[index] for row in cells] for index, name in enumerate(names)}}
            if columnar
            else {"instances": [dict(zip(names, row, strict=True)) for row in cells]}
        )
    question = decode(body, signature)
    assert (question.rows, question.columnar) == (len(rows), columnar)
    for index in range(len(signature.columns)):
        assert column_of(question.inputs, signature, index) == [row[index] for row in rows]


def test_a_model_with_one_column_takes_bare_values() -> None:
    for body in ({"instances": [1, 2]}, {"inputs": [1, 2]}, {"instances": [[1], [2]]}, {"inputs": {"input": [1, 2]}}):
        assert decode(body, ONE).inputs["input"].tolist() == [[1], [2]]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts_may_come_in_base64(text: str) -> None:
    packed = {"b64": base64.b64encode(text.encode()).decode()}
    for body in ({"instances": [packed, {"b64": ""}]}, {"instances": [{"text": packed}, {"text": ""}]}):
        assert decode(body, TEXT).inputs["text"].tolist() == [[text], [""]]
    assert decode({"inputs": {"text": [packed]}}, TEXT).inputs["text"].tolist() == [[text]]


@pytest.mark.parametrize("packed", ["secret!", "/w==", 5, None, [], {}, "é", "QmVybg"])
def test_what_is_not_text_in_base64_does_not_fit_and_is_not_repeated(packed: object) -> None:
    assert "secret" not in words(mismatch(lambda: decode({"instances": [{"b64": packed}]}, TEXT)))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": None},
        {"instances": [], "inputs": []},
        {"instances": []},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": {"input": []}},
        {"instances": [{}]},
        {"instances": [{}, {}]},
        {"instances": [[1, 2, 3, 4], {"input": [1, 2, 3, 4]}]},
        {"instances": [{"input": [1, 2, 3, 4]}, [1, 2, 3, 4]]},
        {"instances": [{"input": [1, 2, 3, 4]}, {"secret": [1, 2, 3, 4]}]},
        {"instances": [{"secret": [1, 2, 3, 4]}]},
        {"instances": [{"input": [1, 2, 3, 4], "secret": 1}]},
        {"inputs": {"secret": [[1, 2, 3, 4]]}},
        {"inputs": {"input": [[1, 2, 3, 4]], "secret": 1}},
        {"instances": [[1, 2, 3]]},
        {"instances": [[1, 2, 3, 4, 5]]},
        {"instances": [[1, 2, 3, 4], [1, 2, 3]]},
        {"instances": [[[1, 2, 3, 4]]]},
        {"instances": [1, 2, 3, 4]},
        {"instances": [[1, 2, 3, "4"]]},
        {"instances": [[1, 2, 3, True]]},
        {"instances": [[1, 2, 3, None]]},
        {"instances": [[1, 2, 3, 1e39]]},
        {"instances": [[1, 2, 3, 10**400]]},
        {"instances": [{"b64": "QQ=="}]},
        {"instances": {"input": [[1, 2, 3, 4]]}},
        {"inputs": "secret"},
        {"instances": [[1, 2, 3, 4]], "signature_name": "secret"},
        {"instances": [[1, 2, 3, 4]], "signature_name": 1},
        {"instances": [[1, 2, 3, 4]], "secret": 1},
        [],
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_not_repeated(body: object) -> None:
    assert "secret" not in words(mismatch(lambda: decode(body)))


@pytest.mark.parametrize("name", [None, "", "serving_default"])
def test_the_one_signature_may_be_named(name: str | None) -> None:
    assert decode({"signature_name": name, "instances": [[1, 2, 3, 4]]}).rows == 1


def test_a_row_that_names_other_inputs_is_named() -> None:
    refusal = mismatch(lambda: decode({"instances": [{"input": [1] * 4}, {"input": [1] * 4}, {}]}))
    assert places(refusal) == [(2, None)]


def test_a_ragged_row_is_named() -> None:
    assert places(mismatch(lambda: decode({"instances": [[1, 2, 3, 4], [1, 2, 3]]}))) == [(1, "input")]


def test_null_is_nan_where_the_column_allows_it_and_a_misfit_elsewhere() -> None:
    assert np.isnan(decode({"instances": [[None, 1]]}, GAPS).inputs["input"][0, 0])
    assert places(mismatch(lambda: decode({"instances": [[1, 1], [None, None]]}, GAPS))) == [(1, "must")]
    row = {"age": None, "city": "Bern", "score": None, "note": "", "visits": 1}
    assert places(mismatch(lambda: decode({"instances": [row]}, MIXED))) == [(0, "age")]


def test_rows_are_bounded_in_both_forms() -> None:
    for form in ("instances", "inputs"):
        assert decode({form: [[1, 2, 3, 4]] * 5}, max_rows=5).rows == 5
        refusal = mismatch(lambda form=form: decode({form: [[1, 2, 3, 4]] * 6}, max_rows=5))  # type: ignore[misc]
        assert refusal.detail == "a request may have 5 rows; this one has 6"


OUTPUTS = {"label": np.array([2, 0]), "probabilities": np.array([[0.1, 0.9, 0], [0.5, 0.25, 0.25]], dtype=np.float32)}


def answered(body: object, signature: Signature, outputs: dict[str, Any]) -> Any:
    return json.loads(decode(body, signature).answer(outputs, "name", "1").body)


def test_several_outputs_are_one_object_per_row() -> None:
    assert answered({"instances": [[1, 2, 3, 4]] * 2}, IRIS, OUTPUTS) == {
        "predictions": [
            {"label": 2, "probabilities": [0.1, 0.9, 0]},
            {"label": 0, "probabilities": [0.5, 0.25, 0.25]},
        ]
    }


def test_several_outputs_are_named_columns_for_columns() -> None:
    assert answered({"inputs": [[1, 2, 3, 4]] * 2}, IRIS, OUTPUTS) == {
        "outputs": {"label": [2, 0], "probabilities": [[0.1, 0.9, 0], [0.5, 0.25, 0.25]]}
    }


def test_one_output_goes_without_its_name() -> None:
    outputs = {"value": np.array([0.5, 1.5])}
    assert answered({"instances": [[1, 2]] * 2}, COUNTS, outputs) == {"predictions": [0.5, 1.5]}
    assert answered({"inputs": [[1, 2]] * 2}, COUNTS, outputs) == {"outputs": [0.5, 1.5]}
