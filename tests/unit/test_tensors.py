"""A signature is either whole and consistent or cannot be made."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from secure_ml_api.tensors import Column, Signature
from support.signatures import ALL, IRIS, MIXED, ONE, TEXT

X = Column(name="x")


@pytest.mark.parametrize(
    "parts",
    [
        {"task": "regression", "columns": ()},
        {"task": "regression", "columns": (X, X)},
        {"task": "regression", "columns": (X, Column(name="y", datatype="INT64"))},
        {"task": "regression", "columns": (X,), "classes": (0, 1), "labels": ("a", "b")},
        {"task": "anomaly", "columns": (X,), "classes": (-1, 1), "labels": ("a", "b")},
        {"task": "classification", "columns": (X,)},
        {"task": "classification", "columns": (X,), "classes": (0, 1)},
        {"task": "classification", "columns": (X,), "classes": (0, 1), "labels": ("a",)},
        {"task": "classification", "columns": (X,), "classes": (0, "b"), "labels": ("a", "b")},
        {"task": "classification", "columns": (X,), "classes": (0, 0), "labels": ("a", "b")},
        {"task": "classification", "columns": (X,), "classes": ("a", "a"), "labels": ("a", "b")},
        {"task": "classification", "columns": (X,), "classes": (True, False), "labels": ("a", "b")},
        {"task": "clustering", "columns": (X,)},
        {"task": "regression", "columns": (X,), "unknown": 1},
    ],
)
def test_a_signature_whose_parts_disagree_cannot_be_made(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Signature(**parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"minimum": 2.0, "maximum": 1.0},
        {"minimum": float("nan")},
        {"maximum": float("inf")},
        {"choices": ("a",)},
        {"datatype": "BYTES", "choices": ()},
        {"datatype": "BYTES", "minimum": 1.0},
        {"datatype": "BYTES", "allow_missing": True},
        {"datatype": "INT64", "allow_missing": True},
        {"datatype": "BOOL", "allow_missing": True},
        {"datatype": "FP128"},
        {"name": ""},
        {"name": "x" * 257},
    ],
)
def test_a_column_that_makes_no_sense_cannot_be_made(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Column(**({"name": "x"} | parts))


@pytest.mark.parametrize("signature", ALL)
def test_a_signature_survives_its_json(signature: Signature) -> None:
    again = Signature.model_validate_json(signature.model_dump_json())
    assert again == signature
    assert hash(again) == hash(signature)


def test_numbers_are_one_tensor_and_mixed_columns_one_each() -> None:
    assert [(spec.name, spec.datatype, spec.shape) for spec in IRIS.inputs] == [("input", "FP32", (-1, 4))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in MIXED.inputs] == [
        ("age", "FP32", (-1, 1)),
        ("city", "BYTES", (-1, 1)),
        ("score", "FP64", (-1, 1)),
        ("note", "BYTES", (-1, 1)),
        ("visits", "INT16", (-1, 1)),
    ]


@pytest.mark.parametrize(
    ("signature", "outputs"),
    [
        (IRIS, [("label", "INT64", (-1,)), ("probabilities", "FP32", (-1, 3))]),
        (TEXT, [("label", "INT64", (-1,))]),
        (ONE, [("label", "INT64", (-1,)), ("score", "FP32", (-1,))]),
        (MIXED, [("value", "FP32", (-1,))]),
    ],
)
def test_outputs_follow_the_task(signature: Signature, outputs: list[tuple[str, str, tuple[int, ...]]]) -> None:
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == outputs


def test_what_is_computed_once_does_not_make_equal_signatures_differ() -> None:
    used, fresh = IRIS.model_copy(), IRIS.model_copy()
    assert used.inputs
    assert used.outputs
    assert used.column_names
    assert used == fresh
    assert hash(used) == hash(fresh)
