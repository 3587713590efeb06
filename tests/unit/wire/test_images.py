"""Rows that have a shape: images come as they are through every protocol, and reach the model flat."""

from __future__ import annotations

import json
from math import prod
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire.oip import decode_oip
from secure_ml_api.wire.question import CSV, Payload
from secure_ml_api.wire.row_reader import row_reader
from secure_ml_api.wire.rows import decode_rows
from secure_ml_api.wire.tfserving import decode_tensorflow
from support.signatures import mismatch, places, words

SHAPE = (2, 3, 1)
PIXELS = tuple(Column(name=f"pixel_{y}_{x}_0", datatype="UINT8", maximum=16) for y in range(2) for x in range(3))
IMAGES = Signature(task="regression", columns=PIXELS, row_shape=SHAPE)
TWO = np.arange(12, dtype=np.uint8).reshape(2, *SHAPE)


def text(value: Any) -> Payload:
    return Payload(json.dumps(value).encode())


def infer(shape: list[int], data: Any, datatype: str = "UINT8") -> Payload:
    return text({"inputs": [{"name": "input", "shape": shape, "datatype": datatype, "data": data}]})


def binary(images: np.ndarray[Any, Any]) -> Payload:
    parameters = {"binary_data_size": images.size}
    tensor = {"name": "input", "shape": list(images.shape), "datatype": "UINT8", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    return Payload(head + images.tobytes(), inference_header_length=str(len(head)))


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        pytest.param(decode_rows, text({"instances": TWO.tolist()}), id="nested rows"),
        pytest.param(decode_rows, text({"instances": TWO.reshape(2, -1).tolist()}), id="flat rows"),
        pytest.param(decode_tensorflow, text({"instances": TWO.tolist()}), id="nested instances"),
        pytest.param(decode_tensorflow, text({"inputs": TWO.reshape(2, -1).tolist()}), id="flat inputs"),
        pytest.param(decode_oip, infer([2, *SHAPE], TWO.ravel().tolist()), id="flat tensor"),
        pytest.param(decode_oip, infer([2, *SHAPE], TWO.tolist()), id="nested tensor"),
        pytest.param(decode_oip, infer([2, 6], TWO.ravel().tolist()), id="tensor of flat rows"),
        pytest.param(decode_oip, binary(TWO), id="binary tensor"),
    ],
)
def test_images_reach_the_model_as_flat_rows(decode: Any, payload: Payload) -> None:
    question = decode(payload, IMAGES, 10)
    given = question.inputs["input"]
    assert (given.dtype, given.shape, question.rows) == (np.uint8, (2, 6), 2)
    assert given.ravel().tolist() == list(range(12))


def test_one_image_may_be_a_body_of_its_bytes() -> None:
    question = decode_oip(Payload(TWO[0].tobytes(), inference_header_length="0"), IMAGES, 10)
    assert question.inputs["input"].tolist() == [list(range(6))]


def test_a_file_of_rows_has_a_column_for_each_pixel() -> None:
    head = ",".join(column.name for column in PIXELS)
    question = decode_rows(Payload(f"{head}\n0,1,2,3,4,5\n".encode(), CSV), IMAGES, 10)
    assert question.inputs["input"].tolist() == [list(range(6))]


def test_images_of_a_binary_body_are_not_copied() -> None:
    payload = binary(TWO)
    given = decode_oip(payload, IMAGES, 10).inputs["input"]
    assert np.shares_memory(given, np.frombuffer(payload.body, dtype=np.uint8))


@pytest.mark.parametrize("shape", [(2, 3, 2, 1), (2, 2, 3), (2, 6, 1), (12,)])
def test_a_tensor_of_another_shape_is_refused_with_the_one_that_is_wanted(shape: tuple[int, ...]) -> None:
    refusal = mismatch(lambda: decode_oip(binary(TWO.reshape(shape)), IMAGES, 20))
    assert "[rows, 2, 3, 1]" in words(refusal)


def test_a_ragged_image_is_refused_by_its_row() -> None:
    ragged = TWO.tolist()
    ragged[1][0].pop()
    refusal = mismatch(lambda: decode_rows(text({"instances": ragged}), IMAGES, 10))
    assert places(refusal) == [(1, None)]
    assert "[2, 3, 1]" in words(refusal)


def test_an_image_nested_once_too_often_is_refused() -> None:
    mismatch(lambda: decode_rows(text({"instances": TWO[..., None].tolist()}), IMAGES, 10))


def test_a_pixel_out_of_bounds_is_named_by_its_place() -> None:
    bright = TWO.copy()
    bright[1, 1, 2, 0] = 17
    for decode, payload in (
        (decode_rows, text({"instances": bright.tolist()})),
        (decode_tensorflow, text({"instances": bright.tolist()})),
        (decode_oip, infer([2, *SHAPE], bright.ravel().tolist())),
        (decode_oip, binary(bright)),
    ):
        refusal = mismatch(lambda decode=decode, payload=payload: decode(payload, IMAGES, 10))  # type: ignore[misc]
        assert places(refusal) == [(1, "pixel_1_2_0")]


def test_the_type_that_the_schema_is_made_of_takes_what_is_taken() -> None:
    row = TypeAdapter(row_reader(IMAGES).list_row)
    for good in (TWO[0].tolist(), TWO[0].ravel().tolist()):
        row.validate_python(good)
    ragged = TWO[0].tolist()
    ragged[0].pop()
    for bad in (ragged, list(range(5)), (TWO[0] + 17).tolist(), [[0.5] * 6]):
        with pytest.raises(ValidationError):
            row.validate_python(bad)


def test_a_shape_has_a_number_for_each_column() -> None:
    assert prod(SHAPE) == len(PIXELS)
    with pytest.raises(ValidationError, match="a number for each column"):
        Signature(task="regression", columns=PIXELS, row_shape=(2, 2))
