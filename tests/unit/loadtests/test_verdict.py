"""The verdict over a run with a shape."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from loadtests.figures import Figures
from loadtests.record import LostWorker, Phase, Record, Sample
from loadtests.thresholds import ShapeThreshold, Threshold, Thresholds
from loadtests.timeline import Outcome, Timeline
from loadtests.verdict import breaches, findings

_ROW = [Figures("row iris", 10, 0, {5.0: 10})]


def record(shape: str, *phases: str, became: Outcome = Outcome.ANSWERED, time_ms: float = 5) -> Record:
    """Phases of ten seconds, with ten requests a second; in the last phase they become ``became``."""
    made = Record(shape, requests=_ROW, timeline=Timeline())
    for index, name in enumerate(phases):
        made.phases.append(Phase(name, 4, 100.0 + 10 * index, 110.0 + 10 * index))
        for second in range(100 + 10 * index, 110 + 10 * index):
            for _ in range(10):
                last = name == phases[-1]
                made.timeline.count(second, became if last else Outcome.ANSWERED, time_ms if last else 5)
    return made


def bounding(shape: str, **bounds: Threshold) -> Thresholds:
    return Thresholds(shapes={shape: ShapeThreshold(phases=bounds)})


def test_a_phase_past_its_bound_is_named() -> None:
    slow = record("spike", "before", "spike", "after", time_ms=900)
    (line,) = breaches(slow, bounding("spike", after=Threshold(p95_ms=400)), ["row"])
    assert line == "shapes.spike.phases.after.p95_ms: the p95 is 900 ms, at most 400 ms is allowed"


def test_bounds_of_other_shapes_and_of_the_plain_run_are_not_asked() -> None:
    slow = record("smoke", "load", time_ms=900)
    plain = Thresholds(overall=Threshold(p95_ms=1), shapes=bounding("soak", load=Threshold(p95_ms=1)).shapes)
    assert breaches(slow, plain, ["row"]) == []


def test_a_run_that_ended_before_a_bounded_phase_is_a_breach() -> None:
    cut = record("stress", "stress")
    (line,) = breaches(cut, bounding("stress", after=Threshold(p95_ms=400)), ["row"])
    assert line == "shapes.stress.phases.after: the run did not come so far"


def test_a_scenario_without_an_answer_is_a_breach_in_every_shape() -> None:
    assert breaches(record("soak", "load"), Thresholds(), ["row", "batch"]) == ["batch: no request was answered"]


def test_a_worker_that_was_lost_is_a_breach_in_every_shape_that_says_when() -> None:
    for shape in ("plain", "soak", "smoke"):
        halved = record(shape, "load")
        assert breaches(halved, Thresholds(), ["row"]) == []
        halved.lost_workers = [LostWorker("host_1", 107)]
        (line,) = breaches(halved, Thresholds(), ["row"])
        assert line == "workers: host_1 was lost, noticed 7 s into the run: the load was not what was asked for"


def test_stress_without_a_refusal_was_none() -> None:
    bounds = bounding("stress", stress=Threshold(refusals_at_least=1))
    (line,) = breaches(record("stress", "stress"), bounds, ["row"])
    assert line.endswith("0 requests were refused: the server had room; raise --users")
    assert breaches(record("stress", "stress", became=Outcome.REFUSED), bounds, ["row"]) == []


def test_lost_requests_break_their_own_bound() -> None:
    lost = record("stress", "stress", became=Outcome.LOST)
    (line,) = breaches(lost, bounding("stress", stress=Threshold(lost=0)), ["row"])
    assert line == "shapes.stress.phases.stress.lost: 100 requests got no answer at all, at most 0 may"


def test_a_recovery_that_takes_too_long_is_a_breach() -> None:
    slow = record("spike", "before", "spike", "after", time_ms=900)
    (line,) = breaches(slow, Thresholds(shapes={"spike": ShapeThreshold(recovery_seconds=5)}), ["row"])
    assert line == "shapes.spike.recovery_seconds: all was as before at no time again, at most 5 s is allowed"


def test_a_soak_whose_memory_grows_is_a_breach_and_one_that_nobody_saw_is_told() -> None:
    bounds = Thresholds(shapes={"soak": ShapeThreshold(memory_growth_mib=16)})
    soak = record("soak", "load")
    assert breaches(soak, bounds, ["row"]) == []
    (told,) = findings(soak, bounds.shapes["soak"])
    assert "could not be followed" in told.words
    soak.samples = [Sample(second, 4, server_bytes=second * 4 * 1024 * 1024) for second in range(16)]
    (line,) = breaches(soak, bounds, ["row"])
    assert line.startswith("shapes.soak.memory_growth_mib: the server's memory grew by 32.0 MiB ")


def test_the_knee_is_judged_as_a_phase_of_its_own() -> None:
    steps = record("steps", "step 1", "step 2", time_ms=900)
    assert breaches(steps, bounding("steps", knee=Threshold(p95_ms=100)), ["row"]) == []
    (line,) = breaches(steps, bounding("steps", knee=Threshold(p95_ms=1)), ["row"])
    assert line == "shapes.steps.phases.knee.p95_ms: the p95 is 5 ms, at most 1 ms is allowed"
    assert any(finding.words.startswith("knee: 10 requests a second") for finding in findings(steps, ShapeThreshold()))


def test_a_record_comes_out_of_its_file_as_it_went_in(tmp_path: Path) -> None:
    kept = record("spike", "before", "spike")
    kept.requests = [Figures("row iris", 3, 1, Counter({5.0: 1, 2.5: 1}), refused=0, lost=1)]
    kept.samples = [Sample(100, 4, 0.5, 1.5, 1024)]
    kept.lost_workers = [LostWorker("host_1", 107)]
    kept.write(tmp_path / "loadtest.json")
    assert Record.read(tmp_path / "loadtest.json") == kept


def test_a_load_generator_at_its_limit_is_told() -> None:
    busy = record("soak", "load")
    busy.samples = [Sample(100, 4, generator_cores=0.97)]
    assert any("the load generator used 97% of a core" in finding.words for finding in findings(busy, ShapeThreshold()))
