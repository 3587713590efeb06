"""The report of a load test."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from loadtests.figures import Figures
from loadtests.record import Phase, Record, Sample
from loadtests.report.axis import Axis, from_zero, over_decades, tick_step, written
from loadtests.report.files import write_report
from loadtests.report.knee_plot import knee_plot
from loadtests.report.page import page
from loadtests.report.time_plot import slots, time_plot
from loadtests.thresholds import Thresholds
from loadtests.timeline import Outcome

_SVG = "{http://www.w3.org/2000/svg}"


def steps(count: int, shape: str = "steps") -> Record:
    """Ever more callers for five seconds each; from four on they only wait for each other."""
    record = Record(shape, facts={"server": "http://127.0.0.1:8000"}, requests=[Figures("row <i>", 3, 0, {1.0: 3})])
    for step in range(count):
        began = 1000.0 + 5 * step
        record.phases.append(Phase(f"step {step + 1}", step + 1, began, began + 5))
        for second in range(int(began), int(began) + 5):
            record.samples.append(Sample(second, step + 1, 0.5, 1.5, 200 * 1024 * 1024))
            for _ in range(50 * min(step + 1, 4)):
                record.timeline.count(second, Outcome.ANSWERED, 10.0 * max(1, (step + 1) / 4))
    return record


def test_the_page_needs_nothing_but_itself() -> None:
    made = page(steps(6), Thresholds(), ["shapes.steps: <b>broken</b>"])
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(", made)
    addresses = set(re.findall(r"https?://[^\s\"<]+", made))
    assert addresses == {"http://www.w3.org/2000/svg", "http://127.0.0.1:8000"}, "only names of things, nothing to load"


def test_what_is_told_is_escaped() -> None:
    made = page(steps(6), Thresholds(), ["shapes.steps: <b>broken</b>"])
    assert "row &lt;i&gt;" in made
    assert "&lt;b&gt;broken" in made
    assert "<i>" not in made


def test_the_knee_is_marked_in_the_curve_of_three_percentiles() -> None:
    drawn = ET.fromstring(knee_plot(steps(8).points()))
    words = [text.text for text in drawn.iter(f"{_SVG}text")]
    assert "knee: 200 a second with 4 callers" in words
    assert {"p50", "p95", "p99"} <= set(words)
    assert len(drawn.findall(f"{_SVG}polyline")) == 3
    assert sum("mark" in circle.attrib["class"] for circle in drawn.iter(f"{_SVG}circle")) == 1
    dots = [circle for circle in drawn.iter(f"{_SVG}circle") if "mark" not in circle.attrib["class"]]
    assert len(dots) == 3 * 8, "a point for each step on each curve"


def test_two_steps_make_no_curve() -> None:
    assert knee_plot(steps(2).points()) == ""


def test_the_run_over_time_has_a_panel_for_all_that_was_seen() -> None:
    titles = [
        text.text for text in ET.fromstring(time_plot(steps(3))).iter(f"{_SVG}text") if "title" in text.attrib["class"]
    ]
    assert titles == ["Callers", "Requests a second", "Latency of answers, ms", "Cores", "Memory of the server, MiB"]


def test_a_server_elsewhere_has_no_panel_of_memory() -> None:
    record = steps(3)
    record.samples = [Sample(sample.second, sample.callers, sample.generator_cores) for sample in record.samples]
    assert "Memory" not in time_plot(record)


def test_a_long_run_is_drawn_with_as_many_slots_as_can_be_told_apart() -> None:
    long = Record("soak", phases=[Phase("load", 1, 0.0, 7200.0)])
    assert len(slots(long)) <= 240
    assert slots(long)[0].end == 30


def test_pictures_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    write_report(steps(6), Thresholds(), [], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "loadtest.html", "loadtest.json", "loadtest-knee.svg", "loadtest-time.svg",
    }  # fmt: skip
    write_report(steps(1, shape="soak"), Thresholds(), [], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"loadtest.html", "loadtest.json", "loadtest-time.svg"}


def test_a_run_without_any_answer_has_a_page_too() -> None:
    empty = Record("steps", phases=[Phase("step 1", 1, 1000.0, 1005.0)])
    assert "<h1>Load test: steps</h1>" in page(empty, Thresholds(), ["row: no request was answered"])
    assert "<h1>Load test: plain</h1>" in page(Record("plain"), Thresholds(), [])


@pytest.mark.parametrize("highest", [0.0, 0.3, 1.0, 7.0, 999.0, 123456.0])
def test_axes_from_zero_have_room_and_round_ticks(highest: float) -> None:
    axis = from_zero([highest], 0, 100)
    assert axis.high >= highest
    assert 3 <= len(axis.ticks()) <= 9
    assert axis.ticks()[-1] == pytest.approx(axis.high)
    assert axis.at(axis.high) == 100


@pytest.mark.parametrize("values", [[], [0.0], [0.5, 900.0], [20.0, 30.0], [1.0], [3.0, 100000.0]])
def test_logarithmic_axes_have_room_and_ticks(values: list[float]) -> None:
    axis = over_decades(values, 0, 100)
    assert all(axis.low <= value <= axis.high for value in values if value > 0)
    assert len(axis.ticks()) >= 2


def test_what_lies_outside_an_axis_is_put_at_its_edge() -> None:
    assert Axis(0.0, 10.0, 0, 100).at(-5) == 0
    assert Axis(1.0, 10.0, 100, 0, logarithmic=True).at(0.0) == 100


def test_figures_are_written_with_no_more_digits_than_they_need() -> None:
    assert [written(value) for value in (0.5, 12.345, 999.6, 123456.7)] == ["0.5", "12.3", "1,000", "123,457"]
    assert tick_step(10.0) == 2.0
