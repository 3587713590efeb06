"""The elements of tensors in JSON: taken exactly as the model takes them, or refused by row and feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import MalformedBody
from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire.oip import decode_oip
from secure_ml_api.wire.question import Payload
from support.oip_requests import decode, iris, tensor
from support.signatures import COUNTS, FLAGS, GAPS, IRIS, MIXED, mismatch, places

_WITH_AN_ELEMENT = '{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, …]}]}'


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
