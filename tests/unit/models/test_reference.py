"""Histograms of a sample: every row is in one bin, and no bin of numbers is empty."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from secure_ml_api.models.reference import LEAST_ROWS, MOST_FEATURES, Histogram, Reference, places
from secure_ml_api.tensors import Column, Signature
from support.packages import SIGNATURE

COLUMNS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
    st.integers(1, 400),
    elements={"allow_subnormal": False},
    fill=st.nothing(),
) | hnp.arrays(np.float64, st.integers(1, 400), elements=st.sampled_from([0.0, 1.0, 2.5, np.nan, np.inf, -np.inf]))


@given(COLUMNS)
def test_every_row_is_in_one_bin_and_every_bin_of_numbers_has_some(values: np.ndarray[Any, Any]) -> None:
    histogram = Histogram.of("a", values)
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if histogram is None:
        assert len(set(finite.tolist())) <= 1
        return
    assert sum(histogram.counts) == len(values)
    assert all(histogram.counts[:-1])
    assert histogram.counts[-1] == len(values) - len(finite)
    bounds = [-np.inf, *histogram.cuts, np.inf]
    for low, high, count in zip(bounds, bounds[1:], histogram.counts[:-1], strict=False):
        assert count == np.count_nonzero((finite > low) & (finite <= high))


@given(COLUMNS)
def test_a_histogram_survives_the_way_through_json(values: np.ndarray[Any, Any]) -> None:
    histogram = Histogram.of("a", values)
    assert histogram is None or Histogram.model_validate_json(histogram.model_dump_json()) == histogram


def test_bins_of_a_continuous_feature_are_tenths_of_the_sample() -> None:
    histogram = Histogram.of("a", np.random.default_rng(0).permutation(1000) / 7)
    assert histogram is not None
    assert histogram.counts == (*[100] * 10, 0)


def test_a_small_sample_has_fewer_bins() -> None:
    histogram = Histogram.of("a", np.arange(100.0))
    assert histogram is not None
    assert histogram.counts == (*[20] * 5, 0)


@pytest.mark.parametrize(("values", "cuts"), [([0.0] * 5 + [1.0] * 195, (0.0,)), ([0.0] * 195 + [1.0] * 5, (0.0,))])
def test_a_feature_of_two_values_has_a_bin_for_each_however_rare(values: list[float], cuts: tuple[float, ...]) -> None:
    histogram = Histogram.of("a", np.array(values))
    assert histogram is not None
    assert histogram.cuts == cuts


def test_what_is_no_finite_number_has_a_bin_of_its_own() -> None:
    found = places(np.array([-5.0, 1.0, 1.5, 9.0, np.nan, np.inf, -np.inf]), np.array([1.0, 2.0]))
    assert found.tolist() == [0, 0, 1, 2, 3, 3, 3]


def test_a_sample_of_too_few_rows_gives_no_reference() -> None:
    rows = np.random.default_rng(1).normal(size=(LEAST_ROWS, 2)).astype(np.float32)
    assert Reference.of({"input": rows}, SIGNATURE) is not None
    assert Reference.of({"input": rows[1:]}, SIGNATURE) is None


def test_constant_features_and_texts_have_no_histogram() -> None:
    columns = (Column(name="word", datatype="BYTES"), Column(name="same"), Column(name="varies", datatype="INT64"))
    signature = Signature(task="regression", columns=columns)
    inputs = {
        "word": np.array(["a", "b"] * 100, dtype=object).reshape(-1, 1),
        "same": np.full((200, 1), 3.0, np.float32),
        "varies": np.arange(200).reshape(-1, 1),
    }
    reference = Reference.of(inputs, signature)
    assert reference is not None
    assert [feature.name for feature in reference.features] == ["varies"]
    assert Reference.of({**inputs, "varies": np.zeros((200, 1), np.int64)}, signature) is None


def test_of_a_wide_model_columns_from_first_to_last_are_taken() -> None:
    signature = Signature(task="regression", columns=tuple(Column(name=f"c{at}") for at in range(1000)))
    rows = np.random.default_rng(2).normal(size=(100, 1000)).astype(np.float32)
    reference = Reference.of({"input": rows}, signature)
    assert reference is not None
    assert len(reference.features) == MOST_FEATURES
    assert (reference.features[0].name, reference.features[-1].name) == ("c0", "c999")


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 11},
        {"rows": 0},
        {"features": []},
        {"features": [{"name": "a", "cuts": [1.0], "counts": [5, 5, 0]}] * 2},
        {"features": [{"name": "a", "cuts": [], "counts": [10, 0]}]},
        {"features": [{"name": "a", "cuts": [1.0], "counts": [5, 5]}]},
        {"features": [{"name": "a", "cuts": [1.0], "counts": [11, -1, 0]}]},
        {"features": [{"name": "a", "cuts": [2.0, 1.0], "counts": [5, 5, 0, 0]}]},
        {"features": [{"name": "a", "cuts": [1.0, 1.0], "counts": [5, 5, 0, 0]}]},
        {"features": [{"name": "a", "cuts": [float("inf")], "counts": [5, 5, 0]}]},
        {"features": [{"name": f"c{at}", "cuts": [1.0], "counts": [5, 5, 0]} for at in range(MOST_FEATURES + 1)]},
    ],
    ids=str,
)
def test_a_reference_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    good = {"rows": 10, "features": [{"name": "a", "cuts": [1.0], "counts": [5, 5, 0]}]}
    Reference.model_validate_json(json.dumps(good))
    with pytest.raises(ValidationError):
        Reference.model_validate_json(json.dumps({**good, **changes}))
