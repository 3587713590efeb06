"""Where the JSON ends, where each tensor of the binary extension does, and bodies that are one tensor alone."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from secure_ml_api.errors import MalformedBody
from secure_ml_api.tensors import Signature
from secure_ml_api.wire.oip import decode_oip
from secure_ml_api.wire.question import Payload
from support.oip_binary_requests import ROW, decode, payload, tensor
from support.signatures import FLAGS, IRIS, MIXED, TEXT, mismatch, places


def malformed(sent: Payload, signature: Signature = IRIS) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        decode_oip(sent, signature, 1000)
    return caught.value


@pytest.mark.parametrize("length", ["x", "-1", "1.0", " 5", "", "9" * 40, "0x5"])
def test_a_header_that_is_no_number_is_malformed(length: str) -> None:
    if length:
        malformed(payload([tensor("input", [1, 4], "FP32", 16)], ROW, length))


def test_a_header_longer_than_the_body_is_malformed() -> None:
    assert "longer than the body" in malformed(Payload(b"{}", inference_header_length="3")).detail


def test_a_header_that_cuts_the_json_is_malformed() -> None:
    malformed(payload([tensor("input", [1, 4], "FP32", 16)], ROW, "10"))


@pytest.mark.parametrize(
    ("shape", "datatype", "size", "tail"),
    [
        ([1, 4], "FP32", 15, ROW[:15]),
        ([1, 4], "FP32", 20, ROW + ROW[:4]),
        ([1, 4], "FP32", 0, b""),
        ([1, 4], "FP32", 16, ROW[:12]),
        ([1, 4], "FP32", 2**62, ROW),
        ([1, 4], "FP32", 16, ROW + b"\0"),
        ([2**31, 2**31], "FP32", 16, ROW),
        ([2**31] * 8, "FP32", 16, ROW),
        ([2**31, 2**31], "BYTES", 16, ROW),
        ([1, 4], "BYTES", 16, b"\xff\xff\xff\xff" + ROW[:12]),
        ([1, 1], "BYTES", 4, b"\x01\0\0\0"),
        ([1, 1], "BYTES", 5, b"\0\0\0\0\0"),
        ([1, 1], "BYTES", 3, b"\0\0\0"),
        ([1, 1], "BYTES", 6, b"\x02\0\0\0\xff\xfe"),
        ([1, 4], "BOOL", 4, b"\x02\0\0\0"),
    ],
)
def test_bytes_that_do_not_fill_their_tensors_are_malformed(
    shape: list[int], datatype: str, size: int, tail: bytes
) -> None:
    malformed(payload([tensor("input", shape, datatype, size)], tail))


def test_more_texts_than_the_server_takes_rows_are_not_taken_apart() -> None:
    refusal = mismatch(lambda: decode([tensor("text", [1001, 1], "BYTES", 4004)], b"\xff" * 4004, TEXT))
    assert refusal.detail == "a request may have 1000 rows; this one has 1001"


def test_data_in_json_and_in_binary_is_malformed() -> None:
    malformed(payload([tensor("input", [1, 4], "FP32", 16, data=[1, 2, 3, 4])], ROW))


def test_a_size_without_the_header_is_malformed() -> None:
    body = json.dumps({"inputs": [tensor("input", [1, 4], "FP32", 16)]}).encode()
    assert "Inference-Header-Content-Length" in malformed(Payload(body)).detail


@pytest.mark.parametrize("size", [0, None])
def test_the_empty_tensor_of_kserve_has_no_rows(size: int | None) -> None:
    refusal = mismatch(lambda: decode([tensor("input", [0, 4], "FP32", size, data=None)], b""))
    assert refusal.detail == "the request has no rows"


def test_a_raw_body_is_one_row_answered_in_binary() -> None:
    question = decode_oip(Payload(ROW, inference_header_length="0"), IRIS, 10)
    assert question.inputs["input"].tolist() == [[1, 2, 3, 4]]
    assert question.binary == {"label", "probabilities"}
    text = decode_oip(Payload("Genève".encode(), inference_header_length="0"), TEXT, 10)
    assert text.inputs["text"].tolist() == [["Genève"]]


@pytest.mark.parametrize("body", [b"", ROW[:15], ROW + ROW, ROW + b"\0"])
def test_a_raw_body_of_another_size_is_malformed(body: bytes) -> None:
    malformed(Payload(body, inference_header_length="0"))


def test_a_raw_body_goes_to_models_of_one_input_and_holds_what_they_take() -> None:
    mismatch(lambda: decode_oip(Payload(ROW, inference_header_length="0"), MIXED, 10))
    nan = struct.pack("<4f", 1, np.nan, 3, 4)
    assert places(mismatch(lambda: decode_oip(Payload(nan, inference_header_length="0"), IRIS, 10)))[0][0] == 0
    malformed(Payload(b"\x01\x02", inference_header_length="0"), FLAGS)
