"""Rows that load tests send."""

from __future__ import annotations

import random

import pytest

from loadtests.rows import MODELS, TYPICAL, row, rows


@pytest.mark.parametrize("model", MODELS)
def test_rows_have_the_features_of_their_model_and_differ(model: str) -> None:
    made = rows(model, 5, random.Random(1))
    assert {len(one) for one in made} == {len(TYPICAL[model])}
    assert len({tuple(one) for one in made}) == 5


@pytest.mark.parametrize("model", MODELS)
def test_no_value_changes_its_sign(model: str) -> None:
    made = row(model, random.Random(2))
    assert all(value * typical >= 0 for value, typical in zip(made, TYPICAL[model], strict=True))
