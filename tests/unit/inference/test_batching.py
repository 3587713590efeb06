"""Merging is for models that it pays for, unless someone says otherwise."""

from __future__ import annotations

from typing import Any, cast

import pytest

from secure_ml_api.inference.batching import Batching
from secure_ml_api.inference.hand_over import hand_over_seconds
from secure_ml_api.models.pace import Pace
from secure_ml_api.setting_sections import BatchingSettings
from support.spine import FakeManifest, FakeModel

US, MS = 1e-6, 1e-3


def pace(one: float, many: float, *, independent: bool = True) -> Pace:
    return Pace(one, many, 32, rows_are_independent=independent)


def model(measured: Pace | None, **manifest: Any) -> Any:
    return cast("Any", FakeModel(None, pace=measured, manifest=FakeManifest(**manifest)))


def batching(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Batching:
    made = Batching(BatchingSettings(**settings))
    monkeypatch.setattr(made, "_hand_over_seconds", 50 * US)
    return made


@pytest.mark.parametrize(
    ("one", "many", "merges"),
    [
        (5 * MS, 6 * MS, True),  # a model that sleeps, or an accelerator
        (1.8 * MS, 2.5 * MS, True),
        (5 * MS, 160 * MS, False),  # twice the rows, twice the time: nothing to gain
        (5 * MS, 120 * MS, False),  # something to gain, within the error of a measurement
        (17 * US, 18 * US, False),  # a tree: waking a thread costs more
        (60 * US, 640 * US, False),  # saves less than a hand-over
    ],
)
def test_runs_are_merged_where_that_clearly_saves_more_than_a_hand_over(
    monkeypatch: pytest.MonkeyPatch, one: float, many: float, merges: bool
) -> None:
    assert batching(monkeypatch).bounds(model(pace(one, many))) == ((128, 0.0) if merges else (1, 0.0))


WORTH_IT, NOT_WORTH_IT = pace(5 * MS, 6 * MS), pace(5 * MS, 160 * MS)


@pytest.mark.parametrize(
    ("setting", "wish", "measured", "merges"),
    [
        ("auto", None, None, False),
        ("always", None, None, True),
        ("always", None, NOT_WORTH_IT, True),
        ("auto", "always", NOT_WORTH_IT, True),
        ("auto", "never", WORTH_IT, False),
        ("always", "never", WORTH_IT, False),
        ("never", "always", WORTH_IT, False),
        ("never", None, WORTH_IT, False),
        ("always", "auto", NOT_WORTH_IT, True),
        ("always", "always", pace(5 * MS, 6 * MS, independent=False), False),
    ],
)
def test_never_wins_over_always_and_always_over_the_measurement(
    monkeypatch: pytest.MonkeyPatch, setting: str, wish: str | None, measured: Pace | None, merges: bool
) -> None:
    bound, _ = batching(monkeypatch, enabled=setting).bounds(model(measured, batching=wish))
    assert (bound > 1) is merges


def test_a_model_s_own_bounds_win_over_the_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = batching(monkeypatch, max_batch_rows=10, max_delay_seconds=0.5)
    assert rules.bounds(model(WORTH_IT)) == (10, 0.5)
    assert rules.bounds(model(WORTH_IT, max_batch_rows=400, max_batch_delay_seconds=0.0)) == (400, 0.0)


def test_a_run_is_quick_as_long_as_its_rows_cost_less_than_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, measured = batching(monkeypatch), pace(19 * US, 50 * US)
    assert [rules.is_quick(model(measured), rows) for rows in (0, 1, 34, 180, 1000)] == [True, True, True, True, False]
    slow_to_hand_over = Batching(BatchingSettings())
    slow_to_hand_over._hand_over_seconds = 5 * MS
    assert slow_to_hand_over.is_quick(model(measured), 1000)


def test_a_model_that_was_not_measured_is_never_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not batching(monkeypatch).is_quick(model(None), 1)


def test_a_hand_over_takes_some_time_and_leaves_no_thread_behind() -> None:
    import threading

    before = threading.active_count()
    rules = Batching(BatchingSettings())
    rules.measure_hand_over()
    assert 0 < rules._hand_over_seconds < 1
    assert hand_over_seconds() > 0
    assert threading.active_count() == before
