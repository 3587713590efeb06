"""What a rows request is answered with, by task."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from secure_ml_api.tensors import Signature, Tensors
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.rows import decode_rows
from support.signatures import COUNTS, IRIS, ONE, TEXT

CLASSES: Tensors = {
    "label": np.array([2, 0]),
    "probabilities": np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], dtype=np.float32),
}
ANOMALIES: Tensors = {"label": np.array([-1, 1]), "score": np.array([-0.25, 0.5])}
VALUES: Tensors = {"value": np.array([0.1, 2.0], dtype=np.float32)}


def answered(body: object, signature: Signature, outputs: Tensors) -> Any:
    question = decode_rows(Payload(json.dumps(body).encode()), signature, 10)
    given = {name: outputs[name] for name in question.wanted}
    answer = question.answer(given, "name", "7")
    assert (answer.status, answer.content_type) == (200, "application/json")
    return json.loads(answer.body)


@pytest.mark.parametrize(
    ("row", "signature", "outputs", "expected"),
    [
        ([1, 2, 3, 4], IRIS, CLASSES, {"prediction": 2, "label": "virginica", "probabilities": [0.1, 0.2, 0.7]}),
        ([1], ONE, ANOMALIES, {"prediction": -1, "is_anomaly": True, "score": -0.25}),
        ([1, 2], COUNTS, VALUES, {"prediction": 0.1}),
        (["hello"], TEXT, {"label": np.array([1])}, {"prediction": 1, "label": "spam"}),
    ],
)
def test_one_row_is_answered_with_all_that_the_model_gives(
    row: list[Any], signature: Signature, outputs: Tensors, expected: dict[str, Any]
) -> None:
    assert answered({"features": row}, signature, outputs) == {"model": "name", "version": "7"} | expected


@pytest.mark.parametrize(
    ("signature", "outputs", "predictions"),
    [(IRIS, CLASSES, [2, 0]), (ONE, ANOMALIES, [-1, 1]), (COUNTS, VALUES, [0.1, 2.0])],
)
def test_a_batch_is_answered_with_predictions_alone(
    signature: Signature, outputs: Tensors, predictions: list[Any]
) -> None:
    rows = [[1] * len(signature.columns)] * 2
    expected = {"model": "name", "version": "7", "predictions": predictions}
    assert answered({"instances": rows}, signature, outputs) == expected


@pytest.mark.parametrize(
    ("signature", "outputs", "extra", "expected"),
    [
        (IRIS, CLASSES, "labels", ["virginica", "setosa"]),
        (IRIS, CLASSES, "probabilities", [[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]),
        (ONE, ANOMALIES, "is_anomaly", [True, False]),
        (ONE, ANOMALIES, "scores", [-0.25, 0.5]),
    ],
)
def test_a_batch_is_answered_with_what_it_asks_for(
    signature: Signature, outputs: Tensors, extra: str, expected: list[Any]
) -> None:
    rows = [[1] * len(signature.columns)] * 2
    answer = answered({"instances": rows, "outputs": [extra, extra]}, signature, outputs)
    assert answer.keys() == {"model", "version", "predictions", extra}
    assert answer[extra] == expected


def test_a_model_without_probabilities_is_not_asked_for_them() -> None:
    assert decode_rows(Payload(b'{"features": ["hello"]}'), TEXT, 10).wanted == ("label",)


def test_arrays_of_any_layout_are_written() -> None:
    table = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(2, 6))
    outputs: Tensors = {"label": table.astype(np.int64)[:, 0], "probabilities": table[:, ::2]}
    answer = answered({"instances": [[1, 2, 3, 4]] * 2, "outputs": ["probabilities"]}, IRIS, outputs)
    assert (answer["predictions"], answer["probabilities"]) == ([0, 6], [[0, 2, 4], [6, 8, 10]])


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint8])
def test_labels_of_any_integer_type_are_written_as_numbers(dtype: type) -> None:
    outputs = CLASSES | {"label": np.array([2, 0], dtype=dtype)}
    assert answered({"features": [1, 2, 3, 4]}, IRIS, outputs)["prediction"] == 2
    assert answered({"instances": [[1, 2, 3, 4]] * 2}, IRIS, outputs)["predictions"] == [2, 0]
