"""Figures of a load test."""

from __future__ import annotations

import pytest

from loadtests.figures import Figures, by_group, table, together


def test_the_percentile_is_the_time_within_which_that_share_of_the_answers_came() -> None:
    figures = Figures("row iris", 100, 0, {10: 94, 20: 1, 500: 5})
    assert figures.percentile_ms(0.5) == 10
    assert figures.percentile_ms(0.95) == 20
    assert figures.percentile_ms(0.951) == 500
    assert figures.percentile_ms(1.0) == 500


def test_without_answers_there_is_neither_a_percentile_nor_an_error_rate() -> None:
    nothing = Figures("row iris", 0, 0)
    assert nothing.percentile_ms(0.95) == 0
    assert nothing.error_rate == 0


def test_figures_together_weigh_every_request_alike() -> None:
    quick = Figures("row iris", 90, 9, {1: 90})
    slow = Figures("row housing", 10, 1, {1: 5, 100: 5})
    both = together("row", [quick, slow])
    assert (both.requests, both.failures, both.times_ms) == (100, 10, {1: 95, 100: 5})
    assert both.error_rate == pytest.approx(0.1)


def test_groups_are_the_first_words_of_the_names_wherever_they_stand() -> None:
    parts = [Figures("row iris", 1, 0), Figures("batch a, 100 rows", 2, 0), Figures("row housing", 3, 1)]
    assert [(group.name, group.requests, group.failures) for group in by_group(parts)] == [
        ("batch", 2, 0),
        ("row", 4, 1),
    ]


def test_the_table_is_aligned_and_ends_with_all_together() -> None:
    lines = table([Figures("row", 60, 1, {7: 60}), Figures("churn", 40, 0, {900: 40})], seconds=10).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[-1].split() == ["all", "100", "10.0", "1", "7", "900", "900"]
