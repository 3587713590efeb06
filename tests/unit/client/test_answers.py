"""Rows as the client sends them: the numbers that were given, or an error before anything is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_ml_api.client import BadRequest
from secure_ml_api.client.answers import question

IMAGES = [{"name": "input", "datatype": "UINT8", "shape": [-1, 2, 2, 1]}]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_whole_numbers_of_any_type_are_sent_as_the_model_takes_them(dtype: Any) -> None:
    images = np.arange(8).reshape(2, 2, 2, 1).astype(dtype)
    assert question(images, None, IMAGES, ()).body.endswith(bytes(range(8)))


@pytest.mark.parametrize("wrong", [0.5, -1, 256, np.nan, np.inf])
def test_a_number_that_the_type_of_the_model_lacks_is_never_sent_as_another(wrong: float) -> None:
    images = np.zeros((1, 2, 2, 1))
    images[0, 1, 0, 0] = wrong
    with pytest.raises(BadRequest, match="UINT8"):
        question(images, None, IMAGES, ())
