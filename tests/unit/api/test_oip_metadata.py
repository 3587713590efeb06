"""What a model's metadata says of its inputs."""

from __future__ import annotations

import pytest

from secure_ml_api.api.oip import inputs_of
from secure_ml_api.api.schemas import InputMetadata
from secure_ml_api.tensors import Column, Signature

AGE, PAY, CITY = Column(name="age"), Column(name="pay"), Column(name="city", datatype="BYTES")
MATRIX = Signature(task="regression", columns=(PAY, AGE))
MIXED = Signature(task="regression", columns=(PAY, CITY))
IMAGES = Signature(task="regression", columns=(PAY, AGE), row_shape=(1, 2))


def test_tensor_of_many_columns_names_them_in_the_models_order() -> None:
    shown = {"name": "input", "datatype": "FP32", "shape": [-1, 2], "parameters": {"features": ["pay", "age"]}}
    assert inputs_of(MATRIX) == [shown]


def test_tensors_of_one_column_are_named_after_it_and_pixels_have_no_names() -> None:
    assert inputs_of(MIXED) == [
        {"name": "pay", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "city", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    assert inputs_of(IMAGES) == [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 2]}]


@pytest.mark.parametrize("signature", [MATRIX, MIXED, IMAGES])
def test_inputs_are_what_the_openapi_document_says_no_more_and_no_less(signature: Signature) -> None:
    shown = inputs_of(signature)
    assert [InputMetadata.model_validate(each).model_dump(exclude_unset=True) for each in shown] == shown
