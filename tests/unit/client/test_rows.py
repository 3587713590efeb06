"""Rows held against what a model takes: by name where their columns have names, or an error that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest

from secure_ml_api.client import BadRequest, InvalidRows
from secure_ml_api.client.rows import as_rows, fitted

Inputs = list[dict[str, Any]]
UNNAMED: Inputs = [{"name": "input", "datatype": "FP32", "shape": [-1, 2]}]
NAMED: Inputs = [{**UNNAMED[0], "parameters": {"features": ["a", "b"]}}]
MIXED: Inputs = [
    {"name": "age", "datatype": "FP32", "shape": [-1, 1]},
    {"name": "city", "datatype": "BYTES", "shape": [-1, 1]},
]
IMAGES: Inputs = [{"name": "input", "datatype": "UINT8", "shape": [-1, 2, 2, 3]}]
FRAME = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
IN_ORDER = [[1.0, 3.0], [2.0, 4.0]]


def sent(given: Any, inputs: Inputs) -> Any:
    tensors = fitted(as_rows(given), inputs)
    return tensors[0].values.tolist() if len(tensors) == 1 else {name: values.tolist() for name, _, values in tensors}


def refused(given: Any, inputs: Inputs) -> InvalidRows:
    with pytest.raises(InvalidRows) as told:
        fitted(as_rows(given), inputs)
    assert told.value.status == 0
    return told.value


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_columns_go_by_name_whatever_their_order(order: list[str]) -> None:
    assert sent(FRAME[order], NAMED) == IN_ORDER
    assert sent(pyarrow.table(FRAME[order]), NAMED) == IN_ORDER
    towns = pandas.DataFrame({"city": ["Köln"], "age": [7]})
    assert sent(towns, MIXED) == {"age": [[7.0]], "city": [["Köln".encode()]]}


def test_columns_of_different_types_each_become_the_models() -> None:
    frame = pandas.DataFrame({"b": [True, False], "a": pandas.array([1, None], dtype="Int64")})
    np.testing.assert_array_equal(sent(frame, NAMED), [[1.0, 1.0], [np.nan, 0.0]])


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (FRAME.rename(columns={"a": "z"}), {"a": "this feature is missing", "z": "the model has no such feature"}),
        (FRAME[["a"]], {"b": "this feature is missing"}),
        (FRAME.assign(y=1), {"y": "the model has no such feature"}),
        (FRAME[["a", "b", "a"]], {"a": "two columns have this name"}),
        (FRAME.set_axis([1, 0], axis=1), {"a": "this feature is missing", "0": "the model has no such feature"}),
    ],
)
def test_columns_that_are_not_the_models_features_are_refused_by_name(given: Any, wrong: dict[str, str]) -> None:
    told = refused(given, NAMED)
    assert wrong.items() <= {row.feature: row.detail for row in told.rows}.items()
    assert "in this order: 'a', 'b'" in str(told)


def test_columns_of_a_model_with_several_inputs_are_its_features_too() -> None:
    towns = pandas.DataFrame({"city": ["Köln"], "age": [7]})
    assert [row.feature for row in refused(towns[["age"]], MIXED).rows] == ["city"]
    assert [row.feature for row in refused(towns.assign(y=1), MIXED).rows] == ["y"]


def test_columns_without_names_and_those_of_servers_that_tell_none_go_by_their_place() -> None:
    assert sent(FRAME.set_axis(range(2), axis=1), NAMED) == IN_ORDER
    assert sent(FRAME.to_numpy(), NAMED) == IN_ORDER
    assert sent(FRAME[["b", "a"]], UNNAMED) == [[3.0, 1.0], [4.0, 2.0]]


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), pandas.NA, pandas.NaT])
def test_missing_text_is_refused_with_its_place_and_never_sent_as_a_word(missing: Any) -> None:
    for given in (pandas.DataFrame({"age": [7, 8], "city": ["Bonn", missing]}), [[7, "Bonn"], [8, missing]]):
        told = refused(given, MIXED)
        assert [(row.row, row.feature) for row in told.rows] == [(1, "city")]
        assert "row 1, city: a text is missing" in str(told)


def test_words_are_sent_as_they_are_given() -> None:
    assert sent([[7, "None"], [8, "nan"], [9, b"a"]], MIXED)["city"] == [[b"None"], [b"nan"], [b"a"]]
    assert [row.detail for row in refused([[7, "\ud800"]], MIXED).rows] == ["the text is not Unicode"]


@pytest.mark.parametrize("inputs", [NAMED, UNNAMED, MIXED])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_rows_of_too_few_or_many_features_are_told_how_many_the_model_takes(inputs: Inputs, count: int) -> None:
    told = str(refused(np.ones((2, count)), inputs))
    assert told.startswith(f"each row has {count} features, and the model takes 2")
    assert ("'a', 'b'" in told) == (inputs is NAMED)


def test_images_are_taken_in_their_shape_or_flat_and_never_with_their_axes_in_another_order() -> None:
    image = np.arange(12, dtype=np.uint8)
    assert sent([image], IMAGES) == sent([image.reshape(2, 2, 3)], IMAGES) == [image.reshape(2, 2, 3).tolist()]
    assert "[2, 2, 3], and these have [3, 2, 2]" in str(refused([image.reshape(3, 2, 2)], IMAGES))


def test_rows_of_different_lengths_are_told_apart() -> None:
    told = refused([[1, 2], [1, 2], [1]], UNNAMED)
    assert [tuple(row) for row in told.rows] == [(2, None, "has 1 features, and row 0 has 2")]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("x", "'x'"),
        (1 + 2j, "complex128"),
        (np.datetime64("2024-02-29"), "datetime64"),
        ([1], r"\[1\]"),
        (10**400, "1"),
    ],
)
def test_what_is_no_number_is_refused_with_its_place(cell: Any, shown: str) -> None:
    given = pandas.DataFrame({"a": [1.0, 1.0], "b": pandas.Series([cell, cell])})
    told = refused(given, NAMED)
    assert (told.rows[0].row, told.rows[0].feature) == (0, "b")
    with pytest.raises(InvalidRows, match=f"row 0, b: expected FP32, got {shown}"):
        raise told


def test_first_hundred_places_are_told_row_by_row() -> None:
    told = refused(pandas.DataFrame({"age": ["x"] * 500, "city": [None] * 500}), MIXED)
    assert [(row.row, row.feature) for row in told.rows[:3]] == [(0, "age"), (0, "city"), (1, "age")]
    assert len(told.rows) == 100
    assert str(told).endswith("(row 0, age: expected FP32, got 'x'; and others)")


def test_column_of_an_array_that_no_server_named_is_told_by_its_place() -> None:
    told = refused([[1, 2], [3, "x"]], UNNAMED)
    assert [tuple(row) for row in told.rows] == [(1, "column 1", "expected FP32, got 'x'")]


@pytest.mark.parametrize("given", [{"a": [1]}, [{"a": 1}], "row", [[[1], [2, 3]], [[1], [2]]], object()])
def test_what_is_no_rows_at_all_is_refused(given: Any) -> None:
    with pytest.raises(BadRequest, match=r"rows are an array \[rows, features\]"):
        as_rows(given)
