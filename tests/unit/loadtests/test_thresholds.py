"""Thresholds that fail a load test."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.figures import Figures
from loadtests.thresholds import (
    DEFAULT_FILE,
    GroupThreshold,
    Threshold,
    Thresholds,
    ThresholdsError,
    read_thresholds,
)

QUICK = Figures("row iris", 100, 0, {10: 100})
SLOW = Figures("row housing", 100, 0, {10: 90, 900: 10})
FAILING = Figures("churn refused", 200, 3, {5: 200})


def _bounding(group: str, **bounds: float) -> Thresholds:
    return Thresholds(groups={group: GroupThreshold(Threshold(**bounds))})


def test_a_figure_at_its_bound_holds() -> None:
    assert _bounding("row", p95_ms=10, error_rate=0).breaches([QUICK], ["row"]) == []


def test_a_slow_group_is_named_with_its_p95_and_its_bound() -> None:
    (line,) = _bounding("row", p95_ms=200).breaches([SLOW], ["row"])
    assert line == "groups.row.p95_ms: the p95 is 900 ms, at most 200 ms is allowed"


def test_a_failing_group_is_named_with_its_share_and_its_bound() -> None:
    (line,) = _bounding("churn", error_rate=0.01).breaches([FAILING], ["churn"])
    assert line == "groups.churn.error_rate: 3 of 200 requests failed (1.50%), at most 1.00% may"


def test_a_group_is_judged_by_all_its_requests_together() -> None:
    many_quick = Figures("row iris", 900, 0, {10: 900})
    assert _bounding("row", p95_ms=200).breaches([many_quick, SLOW], ["row"]) == []


def test_one_request_can_be_bounded_more_closely_than_its_group() -> None:
    closer = GroupThreshold(Threshold(p95_ms=1000), {"row housing": Threshold(p95_ms=100)})
    (line,) = Thresholds(groups={"row": closer}).breaches([QUICK, SLOW], ["row"])
    assert line.startswith('groups.row.requests."row housing".p95_ms: ')


def test_a_bound_on_a_request_that_nobody_sent_is_a_breach() -> None:
    closer = GroupThreshold(requests={"row irsi": Threshold(p95_ms=100)})
    (line,) = Thresholds(groups={"row": closer}).breaches([QUICK], ["row"])
    assert line == 'groups.row.requests."row irsi": no such request was sent'


def test_the_overall_bound_judges_everything_together() -> None:
    overall = Thresholds(overall=Threshold(error_rate=0.005))
    (line,) = overall.breaches([QUICK, FAILING], ["row", "churn"])
    assert line.startswith("overall.error_rate: 3 of 300 ")


def test_a_scenario_that_got_no_answer_is_a_breach_and_not_a_success() -> None:
    assert Thresholds().breaches([QUICK], ["row", "batch"]) == ["batch: no request was answered"]
    assert _bounding("row", p95_ms=1).breaches([Figures("row iris", 0, 0)], ["row"]) == ["row: no request was answered"]


def test_bounds_of_a_scenario_that_did_not_run_are_not_asked() -> None:
    assert _bounding("churn", p95_ms=1).breaches([QUICK], ["row"]) == []


def test_every_broken_threshold_has_its_line() -> None:
    thresholds = Thresholds(
        Threshold(error_rate=0, p95_ms=1), {"churn": GroupThreshold(Threshold(error_rate=0, p95_ms=1))}
    )
    places = [line.partition(": ")[0] for line in thresholds.breaches([FAILING], ["churn"])]
    assert places == ["overall.error_rate", "overall.p95_ms", "groups.churn.error_rate", "groups.churn.p95_ms"]


def test_the_shipped_thresholds_bound_every_scenario_and_let_no_request_fail() -> None:
    shipped = read_thresholds(DEFAULT_FILE)
    assert set(shipped.groups) == {"tokens", "row", "batch", "mixed", "churn"}
    for bounds in (shipped.overall, *(group.bounds for group in shipped.groups.values())):
        assert bounds.error_rate == 0
        assert bounds.p95_ms is not None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[overall]\np95 = 10", "overall: unknown key p95; known are error_rate, lost, p95_ms, "),
        ("[scenarios.row]\np95_ms = 1", "unknown key scenarios; known are groups, overall, shapes"),
        ("[groups.row]\nerror_rate = -1", "groups.row.error_rate: a number that is not negative is needed"),
        ("[groups.row]\np95_ms = true", "groups.row.p95_ms: a number that is not negative is needed"),
        ('[groups.row.requests."row iris"]\np95_ms = "1"', 'groups.row.requests."row iris".p95_ms: a number'),
        ("[groups]\nrow = 5", "groups.row: this is a table; write it as [groups.row]"),
        ("overall", "Expected '=' after a key"),
    ],
)
def test_a_bad_file_is_refused_and_the_place_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(text)
    with pytest.raises(ThresholdsError) as refused:
        read_thresholds(path)
    assert complaint in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThresholdsError, match="No such file"):
        read_thresholds(tmp_path / "thresholds.toml")
