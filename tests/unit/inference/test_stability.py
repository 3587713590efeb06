"""The population stability index, on numbers that can be worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.inference.stability import stability_index

COUNTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=11).filter(
    lambda pairs: any(e for e, _ in pairs) and any(a for _, a in pairs)
)


def test_index_of_two_bins_is_what_the_formula_says() -> None:
    index = stability_index(np.array([50, 50]), np.array([75, 25]))
    assert index == pytest.approx(0.25 * log(0.75 / 0.5) - 0.25 * log(0.25 / 0.5))


def test_a_shift_by_half_a_deviation_is_known_to_be_a_quarter() -> None:
    """Of two normal distributions with the same deviation it is the squared distance of their means, with fine bins."""
    generator = np.random.default_rng(3)
    edges = np.linspace(-4, 4.5, 60)
    expected = np.histogram(generator.normal(size=400_000), edges)[0]
    actual = np.histogram(generator.normal(0.5, size=400_000), edges)[0]
    assert stability_index(expected, actual) == pytest.approx(0.25, abs=0.01)


def test_an_empty_bin_counts_as_half_a_row_of_the_sample() -> None:
    index = stability_index(np.array([100, 0]), np.array([50, 50]))
    assert index == pytest.approx(0.5 * log(2) + 0.495 * log(0.5 / 0.005))


def test_bins_that_are_empty_on_both_sides_change_nothing() -> None:
    expected, actual = np.array([60, 40]), np.array([5, 9])
    more = stability_index(np.append(expected, 0), np.append(actual, 0))
    assert more == pytest.approx(stability_index(expected, actual))


@given(COUNTS)
def test_it_is_finite_never_negative_and_nothing_for_equal_shares(pairs: list[tuple[int, int]]) -> None:
    expected, actual = (np.array(side) for side in zip(*pairs, strict=True))
    assert 0 <= stability_index(expected, actual) < np.inf
    assert stability_index(expected, 3 * expected) == pytest.approx(0, abs=1e-12)
