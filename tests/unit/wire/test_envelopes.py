"""Envelopes are checked in work that follows the size of what is told, not of what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from secure_ml_api.wire import envelopes
from secure_ml_api.wire.envelopes import InferRequest, RowsRequest, TensorFlowRequest, read_envelope
from support.signatures import mismatch, places, words

TENSOR = {"name": "input", "shape": [1, 1], "datatype": "FP32", "data": [1]}


@pytest.mark.parametrize(
    ("envelope", "body", "most"),
    [
        (RowsRequest, {"outputs": [1] * 100_000}, 10),
        (RowsRequest, {"outputs": ["labels"] * 100_000}, 10),
        (RowsRequest, {"outputs": [[]] * 100_000}, 10),
        (InferRequest, {"inputs": [TENSOR | {"shape": ["x"] * 100_000}]}, 10),
        (InferRequest, {"inputs": [{}] * 100_000}, 4 * 4096 + 10),
        (InferRequest, {"inputs": [TENSOR], "outputs": [{}] * 100_000}, 4096 + 10),
        (InferRequest, {"inputs": [TENSOR], "outputs": ["x"] * 100_000}, 4096 + 10),
    ],
)
def test_a_long_list_of_errors_is_not_written_to_its_end(
    envelope: type[BaseModel], body: dict[str, Any], most: int
) -> None:
    with pytest.raises(ValidationError) as caught:
        envelope.model_validate(body)
    assert caught.value.error_count() <= most


@pytest.mark.parametrize("envelope", [RowsRequest, TensorFlowRequest])
def test_unknown_fields_are_refused_before_pydantic_writes_about_each(
    envelope: type[BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "model_validate", lambda _: pytest.fail("pydantic was asked"))
    refusal = mismatch(lambda: read_envelope(envelope, {f"secret{index}": index for index in range(10_000)}))
    assert len(refusal.misfits) == 1
    assert "secret" not in words(refusal)


def test_unknown_fields_are_ignored_where_the_protocol_says_so() -> None:
    body = {"model_name": "iris", "inputs": [TENSOR | {"extra": {}}], "parameters": {"sequence_id": 3, "priority": 1}}
    assert read_envelope(InferRequest, body).inputs[0].name == "input"


def test_the_place_of_a_misfit_is_a_path_of_known_names() -> None:
    refusal = mismatch(lambda: read_envelope(InferRequest, {"inputs": [TENSOR, TENSOR | {"shape": [1, "secret"]}]}))
    assert places(refusal) == [(None, "inputs.1.shape.1")]
    assert "secret" not in words(refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 257},
        {"name": None},
        {"shape": [-1, 1]},
        {"shape": [True]},
        {"shape": [1.0]},
        {"shape": [2**31 + 1]},
        {"shape": [10**400]},
        {"shape": [1] * 9},
        {"shape": None},
        {"datatype": "secret"},
        {"datatype": "fp32"},
        {"datatype": 32},
        {"data": {}},
        {"data": "secret"},
        {"parameters": []},
    ],
)
def test_a_tensor_of_another_form_does_not_fit(change: dict[str, Any]) -> None:
    refusal = mismatch(lambda: read_envelope(InferRequest, {"inputs": [TENSOR | change]}))
    assert "secret" not in words(refusal)


@pytest.mark.parametrize("timeout", [-1, 1.5, "1", True, 2**64, 10**400])
def test_a_timeout_is_a_whole_number_of_microseconds(timeout: object) -> None:
    body = {"inputs": [TENSOR], "parameters": {"timeout": timeout}}
    assert places(mismatch(lambda: read_envelope(InferRequest, body))) == [(None, "parameters.timeout")]


def test_every_field_that_a_misfit_may_name_is_known() -> None:
    assert {"name", "shape", "datatype", "data", "timeout", "binary_data_output"} <= envelopes._FIELDS
