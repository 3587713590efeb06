"""Which outputs the binary tensor extension answers in binary, and where in the body they stand."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from secure_ml_api.tensors import Tensors
from support.oip_binary_requests import ROW, iris


@pytest.mark.parametrize(
    ("more", "binary"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"label", "probabilities"}),
        ({"parameters": {"binary_data_output": False}}, set()),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]}, {"label"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}],
            },
            {"probabilities"},
        ),
        ({"outputs": [{"name": "label", "parameters": {"classification": 1}}]}, set()),
    ],
)
def test_each_output_is_binary_when_it_or_else_the_request_says_so(more: dict[str, Any], binary: set[str]) -> None:
    assert iris(**more).binary == binary


def test_binary_outputs_follow_the_json_in_its_order() -> None:
    outputs: Tensors = {
        "label": np.array([2, 0], dtype=np.int64),
        "probabilities": np.asfortranarray(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], dtype=np.float32)),
    }
    wanted = [
        {"name": "probabilities", "parameters": {"binary_data": True}},
        {"name": "label", "parameters": {"binary_data": True}},
    ]
    answer = iris(ROW * 2, rows=2, outputs=wanted, id="a").answer(outputs, "iris", "1")
    assert answer.content_type == "application/octet-stream"
    length = int(dict(answer.headers)["Inference-Header-Content-Length"])
    head = json.loads(answer.body[:length])
    assert head["id"] == "a"
    assert head["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}},
        {"name": "label", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}},
    ]
    assert answer.body[length:] == struct.pack("<6f2q", 0.1, 0.2, 0.7, 0.5, 0.25, 0.25, 2, 0)


def test_an_answer_without_binary_outputs_has_no_header_of_its_own() -> None:
    answer = iris().answer({"label": np.array([1]), "probabilities": np.zeros((1, 3), np.float32)}, "iris", "1")
    assert answer.headers == ()
    assert answer.content_type == "application/json"


def test_a_mixed_answer_keeps_the_json_data_of_the_others() -> None:
    wanted = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    outputs = {"label": np.array([1]), "probabilities": np.zeros((1, 3), np.float32)}
    answer = iris(outputs=wanted).answer(outputs, "iris", "1")
    length = int(dict(answer.headers)["Inference-Header-Content-Length"])
    assert json.loads(answer.body[:length])["outputs"][0]["data"] == [1]
    assert answer.body[length:] == bytes(12)
