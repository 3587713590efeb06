"""What a request of the Open Inference Protocol is answered with, in JSON."""

from __future__ import annotations

import json

import numpy as np

from support.oip_requests import iris
from support.signatures import mismatch, words


def test_unknown_outputs_do_not_fit_and_known_ones_are_answered_in_the_order_asked() -> None:
    wanted = [{"name": "probabilities"}, {"name": "label"}, {"name": "label"}]
    assert iris([1, 4], [1, 2, 3, 4], outputs=wanted).wanted == ("probabilities", "label")
    assert iris([1, 4], [1, 2, 3, 4], outputs=[]).wanted == ("label", "probabilities")
    refusal = mismatch(lambda: iris([1, 4], [1, 2, 3, 4], outputs=[{"name": "secret"}]))
    assert "label, probabilities" in refusal.detail
    assert "secret" not in words(refusal)


def test_the_answer_carries_model_id_and_flat_tensors() -> None:
    question = iris([2, 4], [1] * 8, id="a-1", model_name="other")
    outputs = {
        "label": np.array([2, 0]),
        "probabilities": np.asfortranarray(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], dtype=np.float32)),
    }
    answer = question.answer(outputs, "iris", "3")
    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {
        "model_name": "iris",
        "model_version": "3",
        "id": "a-1",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [2, 0]},
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "data": [0.1, 0.2, 0.7, 0.5, 0.25, 0.25]},
        ],
    }


def test_no_id_no_id_in_the_answer_and_only_the_outputs_asked_for() -> None:
    question = iris([1, 4], [1, 2, 3, 4], outputs=[{"name": "label"}])
    answer = json.loads(question.answer({"label": np.array([1])}, "iris", "1").body)
    assert "id" not in answer
    assert [output["name"] for output in answer["outputs"]] == ["label"]
