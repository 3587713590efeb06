"""Predictions are counted by what they came to, in words that no caller can invent."""

from __future__ import annotations

import numpy as np
import pytest

from secure_ml_api.errors import DeadlineExceeded, InferenceFailed, Overloaded, Refusal
from secure_ml_api.inference.outcomes import failure, outcomes
from secure_ml_api.tensors import Column, Signature, Tensors
from support.signatures import COUNTS, IRIS, ONE, TEXT

MANY = Signature(
    task="classification",
    columns=(Column(name="x"),),
    classes=tuple(range(60)),
    labels=tuple(f"class {index}" for index in range(60)),
)


@pytest.mark.parametrize(
    ("signature", "outputs", "expected"),
    [
        (IRIS, {"label": np.array([2, 0, 2])}, {"virginica": 2, "setosa": 1}),
        (IRIS, {"label": np.array([1])}, {"versicolor": 1}),
        (TEXT, {"label": np.array([1, 1])}, {"spam": 2}),
        (ONE, {"label": np.array([-1, 1, 1])}, {"anomaly": 1, "normal": 2}),
        (ONE, {"label": np.array([1])}, {"normal": 1}),
        (COUNTS, {"value": np.array([0.5, 1.5])}, {"predicted": 2}),
        (MANY, {"label": np.array([3, 4])}, {"predicted": 2}),
        (IRIS, {"probabilities": np.zeros((2, 3))}, {"predicted": 2}),
    ],
)
def test_rows_are_counted_by_what_was_predicted(
    signature: Signature, outputs: Tensors, expected: dict[str, int]
) -> None:
    rows = len(next(iter(outputs.values())))
    assert dict(outcomes(signature, outputs, rows)) == expected


@pytest.mark.parametrize(
    ("refusal", "word"),
    [(DeadlineExceeded("x"), "late"), (Overloaded("x"), "overloaded"), (InferenceFailed(), "failed")],
)
def test_a_refused_run_has_a_fixed_word(refusal: Refusal, word: str) -> None:
    assert failure(refusal) == word
