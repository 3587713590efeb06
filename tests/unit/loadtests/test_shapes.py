"""How many callers each shape has at a second."""

from __future__ import annotations

import pytest

from loadtests.figures import Figures
from loadtests.record import Point
from loadtests.shapes.catalogue import SHAPES
from loadtests.shapes.stage import Load, stage_at
from loadtests.shapes.steps import callers_of_steps, stop
from loadtests.thresholds import DEFAULT_FILE, Threshold, read_thresholds
from loadtests.verdict import KNEE


def callers(shape: str, load: Load, *seconds: float) -> list[int | None]:
    stages = SHAPES[shape].stages(load)
    return [stage.callers if (stage := stage_at(stages, second)) else None for second in seconds]


def steps_with(*per_second: int, p95_ms: float = 10) -> list[Point]:
    return [
        Point(f"step {number}", number, 1, Figures("", count, 0, {p95_ms: count}))
        for number, count in enumerate(per_second, start=1)
    ]


def test_plain_callers_are_the_same_all_the_time_and_then_it_ends() -> None:
    assert callers("plain", Load(users=16, seconds=30), 0, 29.9, 30) == [16, 16, None]


def test_steps_have_more_callers_each_and_the_last_one_has_all() -> None:
    assert callers_of_steps(20, growth=1.5) == [1, 2, 3, 5, 8, 12, 18, 20]
    assert callers("steps", Load(users=5, seconds=10), 0, 9.9, 10, 25, 39, 40) == [1, 1, 2, 3, 5, None]


@pytest.mark.parametrize(("most", "growth"), [(1, 1.5), (2, 1.01), (100, 1.01), (256, 4.0)])
def test_steps_come_to_an_end_whatever_their_growth(most: int, growth: float) -> None:
    steps = callers_of_steps(most, growth)
    assert steps[-1] == most
    assert steps == sorted(set(steps))


def test_a_spike_is_a_sudden_multiple_between_two_stretches_of_the_same() -> None:
    load = Load(users=10, seconds=21, spawn_rate=10, times=5)
    assert callers("spike", load, 0, 22.9, 23, 29.9, 30, 51.9, 52) == [10, 10, 50, 50, 10, 10, None]
    _, spike, _ = SHAPES["spike"].stages(load)
    assert spike.spawn_rate >= 40, "it comes within a second"


def test_a_soak_is_long_and_moderate() -> None:
    load = SHAPES["soak"].load
    assert load.seconds >= 1800
    assert load.users == SHAPES["plain"].load.users


def test_stress_ends_with_few_callers_who_show_that_the_server_is_itself_again() -> None:
    load = Load(users=320, seconds=30, spawn_rate=160)
    assert callers("stress", load, 0, 31.9, 32, 45.9, 46) == [320, 320, 10, 10, None]


@pytest.mark.parametrize("name", SHAPES)
def test_no_stage_settles_for_longer_than_it_lasts(name: str) -> None:
    for load in (SHAPES[name].load, Load(users=64, seconds=1, spawn_rate=1), Load(users=1, seconds=1)):
        assert all(stage.settle_seconds < stage.seconds for stage in SHAPES[name].stages(load))


def test_steps_go_on_while_throughput_grows() -> None:
    assert stop(steps_with(), Threshold()) == ""
    assert stop(steps_with(100), Threshold()) == ""
    assert stop(steps_with(100, 90), Threshold()) == "", "one bad step at the beginning proves nothing"
    assert stop(steps_with(100, 150, 151, 200), Threshold()) == ""


def test_steps_end_when_two_in_a_row_bring_nothing() -> None:
    assert stop(steps_with(100, 200, 204, 190), Threshold()) == (
        "throughput has stopped growing: 204 a second in the last 2 steps, 200 before"
    )


def test_steps_end_when_the_last_one_goes_past_a_bound() -> None:
    assert stop(steps_with(100, p95_ms=900), Threshold(p95_ms=500)) == (
        "step 1 went past a bound: the p95 is 900 ms, at most 500 ms is allowed"
    )


def test_the_shipped_thresholds_name_phases_that_their_shapes_have() -> None:
    for name, bounds in read_thresholds(DEFAULT_FILE).shapes.items():
        phases = {stage.name for stage in SHAPES[name].stages(SHAPES[name].load)} | {KNEE}
        assert set(bounds.phases) <= phases, name


def test_every_shape_but_the_plain_one_has_bounds_of_its_own() -> None:
    assert set(read_thresholds(DEFAULT_FILE).shapes) == set(SHAPES) - {"plain"}
