"""Numbers as the client sends them: those that were given, or an error before anything is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_ml_api.client import InvalidRows
from secure_ml_api.client.answers import question
from secure_ml_api.client.rows import as_rows, fitted

IMAGES = [{"name": "input", "datatype": "UINT8", "shape": [-1, 2, 2, 1]}]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_whole_numbers_of_any_type_are_sent_as_the_model_takes_them(dtype: Any) -> None:
    images = np.arange(8).reshape(2, 2, 2, 1).astype(dtype)
    assert question(fitted(as_rows(images), IMAGES), ()).body.endswith(bytes(range(8)))


@pytest.mark.parametrize("wrong", [0.5, -1, 256, np.nan, np.inf, "1", None])
def test_a_number_that_the_type_of_the_model_lacks_is_never_sent_as_another(wrong: Any) -> None:
    images = np.zeros((1, 2, 2, 1), object)
    images[0, 1, 0, 0] = wrong
    for given in (images,) if isinstance(wrong, str) else (images, images.astype(float)):
        with pytest.raises(InvalidRows, match="row 0, column 2: expected UINT8, got ") as told:
            fitted(as_rows(given), IMAGES)
        assert told.value.rows[0].row == 0
