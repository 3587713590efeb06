"""Whether a run holds its thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .knee import knee
from .record import Record
from .recovery import memory_growth_bytes, recovery_seconds
from .shapes.spike import AFTER, BEFORE
from .thresholds import ShapeThreshold, Threshold, Thresholds, broken

KNEE = "knee"
_MIB = 1024 * 1024
_BUSY_CORES = 0.9


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found out about the run as a whole, in words, and what bound it breaks, if any."""

    words: str
    breach: str = ""


def breaches(record: Record, thresholds: Thresholds, scenarios: Iterable[str]) -> list[str]:
    """One line for each threshold that does not hold.

    In every shape, a worker that was lost is a breach, and so is a scenario without any answer.
    """
    shape = thresholds.shapes.get(record.shape)
    found = [*_lost_workers(record)]
    if record.shape == "plain":
        return found + thresholds.breaches(record.requests, scenarios)
    found += Thresholds().breaches(record.requests, scenarios)
    if shape is None:
        return found
    found += _broken_phases(record, shape.phases)
    return found + [finding.breach for finding in findings(record, shape) if finding.breach]


def _lost_workers(record: Record) -> Iterator[str]:
    """The others take its callers over, a while later, and what it had counted last is missing."""
    for worker in record.lost_workers:
        when = f", noticed {worker.second - record.phases[0].began:.0f} s into the run" if record.phases else ""
        yield f"workers: {worker.name} was lost{when}: the load was not what was asked for"


def _broken_phases(record: Record, phases: Mapping[str, Threshold]) -> Iterator[str]:
    points = {point.name: point for point in record.points()}
    if best := knee(record.points()):
        points[KNEE] = best
    for name, threshold in phases.items():
        place = f"shapes.{record.shape}.phases.{name}"
        if name not in points:
            yield f"{place}: the run did not come so far"
            continue
        for key, words in broken(threshold, points[name].figures):
            yield f"{place}.{key}: {words}"


def findings(record: Record, shape: ShapeThreshold) -> list[Finding]:
    """What the run shows beyond its phases: why steps ended, where the knee is, recovery, memory."""
    found = []
    if record.stopped_because:
        found.append(Finding(f"stopped by itself: {record.stopped_because}"))
    if record.shape == "steps" and (best := knee(record.points())):
        found.append(
            Finding(
                f"knee: {best.per_second:.0f} requests a second with {best.crowd}, p50 "
                f"{best.figures.percentile_ms(0.5):g} ms, p95 {best.figures.percentile_ms(0.95):g} ms"
            )
        )
    found += _generator(record)
    found += _recovery(record, shape.recovery_seconds)
    found += _memory(record, shape.memory_growth_mib)
    return found


def _generator(record: Record) -> Iterator[Finding]:
    """A process that sends requests cannot use more than one core: near that, its own queue is measured."""
    busiest = 0.0
    for phase in record.phases:
        seconds = phase.seconds()
        seen = [sample.generator_cores or 0.0 for sample in record.samples if sample.second in seconds]
        busiest = max(busiest, sum(seen) / len(seen) if seen else 0.0)
    if busiest >= _BUSY_CORES:
        yield Finding(
            f"the load generator used {busiest:.0%} of a core: it measured itself in part; add --workers, or machines"
        )


def _recovery(record: Record, bound: float | None) -> Iterator[Finding]:
    before, after = record.phase(BEFORE), record.phase(AFTER)
    if before is None or after is None:
        return
    seconds = recovery_seconds(record.timeline, before, after)
    words = "all was as before" + (f" {seconds} s after the spike" if seconds is not None else " at no time again")
    wrong = bound is not None and (seconds is None or seconds > bound)
    place = f"shapes.{record.shape}.recovery_seconds"
    yield Finding(words, f"{place}: {words}, at most {bound:g} s is allowed" if wrong else "")


def _memory(record: Record, bound: float | None) -> Iterator[Finding]:
    if record.shape != "soak":
        return
    grown = memory_growth_bytes(record.samples)
    place = f"shapes.{record.shape}.memory_growth_mib"
    if grown is None:
        yield Finding("the server's memory could not be followed from here, or not for long enough")
        return
    words = f"the server's memory grew by {grown / _MIB:.1f} MiB from the second quarter of the run to the last"
    wrong = bound is not None and grown > bound * _MIB
    yield Finding(words, f"{place}: {words}, at most {bound:g} MiB is allowed" if wrong else "")
