"""What the rows protocol takes for a number, an integer, a truth value or a text, and within which bounds."""

from __future__ import annotations

import numpy as np
import pytest

from secure_ml_api.errors import MalformedBody
from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.rows import decode_rows
from support.row_requests import decode
from support.signatures import COUNTS, FLAGS, GAPS, IRIS, MIXED, TEXT, mismatch, places


@pytest.mark.parametrize("value", ["5", None, [], {}, [1]])
def test_only_a_number_is_a_number(value: object) -> None:
    refusal = mismatch(lambda: decode({"features": [1, value, 1, 1]}))
    assert places(refusal) == [(0, "sepal width")]
    assert refusal.misfits[0].detail == "expected a number"


@pytest.mark.parametrize("value", [True, False, "True"])
@pytest.mark.parametrize(("signature", "expected"), [(IRIS, "a number"), (COUNTS, "an integer")])
def test_truth_value_for_a_number_is_refused_with_what_to_send(
    value: object, signature: Signature, expected: str
) -> None:
    row = [1] * (len(signature.columns) - 1)
    refusal = mismatch(lambda: decode({"features": [*row, value]}, signature))
    assert refusal.misfits[0].detail == f"expected {expected}; for true send 1, and 0 for false"


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e39", "3.5e38", "9" * 400, "-" + "9" * 4000])
def test_a_number_past_the_models_type_is_a_misfit(text: str) -> None:
    body = f'{{"features": [1, 1, {text}, 1]}}'.encode()
    assert places(mismatch(lambda: decode_rows(Payload(body), IRIS, 10))) == [(0, "petal length")]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "9" * 5000])
def test_what_json_cannot_say_is_malformed(text: str) -> None:
    with pytest.raises(MalformedBody):
        decode_rows(Payload(f'{{"features": [1, 1, {text}, 1]}}'.encode()), IRIS, 10)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400, 1.0, 1.5, True, "1", None])
def test_an_integer_column_takes_integers_of_its_width_alone(value: object) -> None:
    assert places(mismatch(lambda: decode({"features": [1, value]}, COUNTS))) == [(0, "b")]


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_truth_column_takes_truth_values_alone(value: object) -> None:
    assert places(mismatch(lambda: decode({"features": [True, value]}, FLAGS))) == [(0, "off")]


@pytest.mark.parametrize("value", [1, None, ["x"], True])
def test_a_text_column_takes_text_alone(value: object) -> None:
    refusal = mismatch(lambda: decode({"features": [value]}, TEXT))
    assert refusal.misfits[0].detail == "expected a string"


def test_null_is_nan_where_the_column_allows_it_and_a_misfit_elsewhere() -> None:
    assert np.isnan(decode({"features": [None, 1]}, GAPS).inputs["input"][0, 0])
    assert places(mismatch(lambda: decode({"features": [None, None]}, GAPS))) == [(0, "must")]


@pytest.mark.parametrize(("value", "words"), [(-0.5, "must be at least 0"), (120.5, "must be at most 120")])
def test_bounds_hold_and_are_told(value: float, words: str) -> None:
    refusal = mismatch(lambda: decode({"features": [value, "Bern", 1, "", 1]}, MIXED))
    assert (places(refusal), refusal.misfits[0].detail) == ([(0, "age")], words)


def test_the_bounds_themselves_fit() -> None:
    for value in (0, 120):
        assert decode({"features": [value, "Bern", 1, "", 1]}, MIXED).inputs["age"][0, 0] == value


def test_a_bound_is_told_to_its_last_digit() -> None:
    signature = Signature(task="regression", columns=(Column(name="x", datatype="FP64", maximum=1234567.25),))
    refusal = mismatch(lambda: decode({"features": [1234568]}, signature))
    assert refusal.misfits[0].detail == "must be at most 1234567.25"


@pytest.mark.parametrize("value", ["Zug", "Bern\0", "bern", "", "Gen\u0065\u0300ve"])
def test_a_choice_is_one_of_the_values_and_the_refusal_lists_them(value: str) -> None:
    refusal = mismatch(lambda: decode({"features": [1, value, 1, "", 1]}, MIXED))
    assert (places(refusal), refusal.misfits[0].detail) == ([(0, "city")], "must be 'Bern' or 'Genève'")


def test_many_choices_are_not_listed() -> None:
    choices = tuple(f"choice {index}" for index in range(1000))
    signature = Signature(task="regression", columns=(Column(name="c", datatype="BYTES", choices=choices),))
    refusal = mismatch(lambda: decode({"features": ["secret"]}, signature))
    assert refusal.misfits[0].detail == "must be one of the values that the model was trained on"
