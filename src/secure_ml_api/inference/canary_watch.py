"""Watches canaries beside what they are to replace, and says which of them must be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..models.model import Model
from ..models.registry import Registry
from ..models.shelf import CanaryModel

# So many requests of the serving version give a mean time that means something.
_LEAST_SERVED = 20


@dataclass(slots=True)
class _Side:
    requests: int = 0
    failures: int = 0
    seconds: float = 0.0

    @property
    def mean_seconds(self) -> float:
        answered = self.requests - self.failures
        return self.seconds / answered if answered else 0.0


@dataclass(slots=True)
class _Trial:
    canary: Model
    replaces: Model | None
    tried: _Side = field(default_factory=_Side)
    served: _Side = field(default_factory=_Side)


class Verdict(NamedTuple):
    """A canary that broke one of its rules, and which."""

    model: Model
    reason: str


class CanaryWatch:
    """One worker's counts; not synchronised, as a count that two threads lose to each other changes no verdict."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._trials: dict[str, _Trial] = {}

    def saw(self, model: Model, seconds: float, *, failed: bool) -> None:
        """A request that named no version was answered by ``model`` in ``seconds``, or failed there."""
        canary = self._registry.canary(model.name)
        if canary is None:
            return
        trial = self._trials.get(model.name)
        if trial is None or trial.canary is not canary.model:
            trial = self._trials[model.name] = _Trial(canary.model, canary.replaces)
        elif trial.replaces is not canary.replaces:
            trial.replaces, trial.served = canary.replaces, _Side()
        side = trial.tried if model is canary.model else trial.served
        side.requests += 1
        if failed:
            side.failures += 1
        else:
            side.seconds += seconds

    def verdicts(self) -> Iterator[Verdict]:
        """The canaries that must be taken back, by what was seen so far.

        Trials that have ended are forgotten: the same version may be tried again, and then begins anew.
        """
        canaries = self._registry.canaries()
        for ended in [name for name in list(self._trials) if name not in canaries]:  # a copy: requests add to it
            self._trials.pop(ended, None)
        for name, canary in canaries.items():
            trial = self._trials.get(name)
            if trial is not None and trial.canary is canary.model:
                reason = _broken(canary, trial)
                if reason:
                    yield Verdict(canary.model, reason)


def _broken(canary: CanaryModel, trial: _Trial) -> str:
    """Which rule is broken, in words; empty when none is, or when too little was seen."""
    rules, tried, served = canary.rules, trial.tried, trial.served
    if tried.requests < rules.minimum_requests:
        return ""
    rate = tried.failures / tried.requests
    if rules.max_error_rate is not None and rate > rules.max_error_rate:
        return f"{rate:.1%} of {tried.requests} requests failed, and {rules.max_error_rate:.1%} may"
    if rules.max_latency_ratio is not None and served.requests - served.failures >= _LEAST_SERVED:
        ratio = tried.mean_seconds / served.mean_seconds if served.mean_seconds else 0.0
        if ratio > rules.max_latency_ratio:
            return f"it takes {ratio:.1f} times as long as what serves, and {rules.max_latency_ratio:g} is allowed"
    return ""
