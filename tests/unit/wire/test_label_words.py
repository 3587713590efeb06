"""The words that classes are answered with: each its own, and none for what is no class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire.outputs import label_words


@pytest.mark.parametrize(
    ("classes", "predicted", "expected"),
    [
        ((0, 1, 2), [2, 0, 1], ["c", "a", "b"]),
        ((3, 5, 7), [7, 3, 5, 3], ["c", "a", "b", "a"]),
        ((-1, 0, 1), [-1, 1, 0], ["a", "c", "b"]),
        ((2, 1, 0), [0, 2], ["c", "a"]),
        (("x", "y", "z"), [2, 0, 1], ["c", "a", "b"]),
        (("2", "1", "0"), [0, 2], ["a", "c"]),
    ],
)
def test_each_predicted_class_gets_its_own_word(
    classes: tuple[int, ...] | tuple[str, ...], predicted: list[int], expected: list[str]
) -> None:
    signature = Signature(task="classification", columns=(Column(name="x"),), classes=classes, labels=("a", "b", "c"))
    assert label_words(signature, np.array(predicted, dtype=np.int64)) == expected


@pytest.mark.parametrize(("classes", "predicted"), [((3, 5, 7), 1), ((3, 5, 7), -1), (("x", "y", "z"), -1)])
def test_a_prediction_that_is_no_class_gets_no_word(classes: tuple[Any, ...], predicted: int) -> None:
    signature = Signature(task="classification", columns=(Column(name="x"),), classes=classes, labels=("a", "b", "c"))
    with pytest.raises(KeyError):
        label_words(signature, np.array([predicted]))
