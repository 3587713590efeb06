"""What was measured: for each workload and contender the median of its samples, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .workloads import Target, Workload

# The figures of a sample, by these names: CPU is user and system time of all the server's processes for one answer;
# ``others`` is the share of the server's core that anything else used meanwhile.
PER_SECOND, CPU_US, P50_MS, P99_MS, PSS_MIB, READY_S, OTHERS = (
    "requests/s",
    "CPU µs",
    "p50 ms",
    "p99 ms",
    "PSS MiB",
    "ready s",
    "others",
)
Sample = Mapping[str, float]


@dataclass(slots=True)
class Result:
    """One contender's samples; with ``trouble`` they mean nothing."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    trouble: str = ""

    def median(self, figure: str) -> float | None:
        values = [sample[figure] for sample in self.samples if figure in sample]
        return median(values) if values and not self.trouble else None

    def worst(self, figure: str) -> float:
        return max((sample[figure] for sample in self.samples if figure in sample), default=0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was reached (None when it could not be measured), and whether that is enough."""

    target: Target
    reached: float | None
    met: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one workload, ours first."""

    workload: Workload
    results: Sequence[Result]

    @property
    def ours(self) -> Result:
        return self.results[0]

    def ratio(self, result: Result) -> float | None:
        """How many times as fast ours is, or how many times less memory or time it takes."""
        figure = {"throughput": PER_SECOND, "memory": PSS_MIB, "ready": READY_S}[self.workload.kind]
        ours, theirs = self.ours.median(figure), result.median(figure)
        if not ours or not theirs:
            return None
        return ours / theirs if figure == PER_SECOND else theirs / ours

    def verdicts(self) -> list[Verdict]:
        return [self._verdict(target) for target in self.workload.targets]

    def _verdict(self, target: Target) -> Verdict:
        if not target.than:
            reached = self.ours.median(P99_MS if target.measure == "p99" else READY_S)
            return Verdict(target, reached, reached is not None and reached <= target.bound)
        other = next(result for result in self.results if result.label == target.than)
        figure = PSS_MIB if target.measure == "PSS" else PER_SECOND
        mine, theirs = self.ours.median(figure), other.median(figure)
        reached = mine / theirs if mine and theirs else None
        enough = reached is not None and (reached <= target.bound if figure == PSS_MIB else reached >= target.bound)
        return Verdict(target, reached, enough)
