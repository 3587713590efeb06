"""Watches canaries beside what they are to replace, and says which of them must be taken back.

A request adds to counts of its worker; housekeeping tells them to the other workers of the machine once a second, and
judges by the sums. Where they cannot be told, each worker judges by what it knows, its own requests at the least.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..models.life import Canary
from ..models.model import Model
from ..models.registry import Registry
from ..models.shelf import CanaryModel
from .trial_files import Seen, Side, Trial, TrialFiles

# So many requests of the serving version give a mean time that means something.
_LEAST_SERVED = 20


@dataclass(slots=True)
class _Watched:
    """``canary`` is the one of the shelf for which ``seen`` goes on; None until this worker has had a request."""

    canary: CanaryModel | None
    seen: Seen


class Verdict(NamedTuple):
    """A canary that broke one of its rules, and which; ``trial`` says which time that it was set."""

    model: Model
    trial: str
    reason: str


class CanaryWatch:
    """One worker's; not synchronised, as a count that two threads lose to each other changes no verdict.

    Safe to build before a fork; until ``start_worker`` it knows of no other worker.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._watched: dict[str, _Watched] = {}
        self._files: TrialFiles | None = None
        self._slot = 0
        self._told: list[Seen] = []

    def start_worker(self, slot: int, directory: Path) -> None:
        """Share counts under ``directory`` from now on; those of the worker that had ``slot`` before go on."""
        self._files, self._slot = TrialFiles(directory), slot
        for seen in dict(self._files.read()).get(slot, []):
            self._watched[seen.trial.name] = _Watched(None, seen)

    def saw(self, model: Model, seconds: float, *, failed: bool) -> None:
        """A request that named no version was answered by ``model`` in ``seconds``, or failed there."""
        canary = self._registry.canary(model.name)
        if canary is None:
            return
        watched = self._watched.get(model.name)
        if watched is None or watched.canary is not canary:
            watched = self._watched[model.name] = _Watched(canary, self._seen(canary))
        side = watched.seen.tried if model is canary.model else watched.seen.served
        side.requests += 1
        if failed:
            side.failures += 1
        else:
            side.seconds += seconds

    def tell(self) -> None:
        """Let the other workers know what this one has seen; for housekeeping."""
        if self._files is None:
            return
        canaries = self._registry.canaries().values()
        seen = [deepcopy(self._seen(canary)) for canary in canaries if canary.rules.has_bounds]
        if seen != self._told:
            with suppress(OSError):  # told again a second later
                self._files.write(self._slot, seen)
                self._told = seen

    def verdicts(self) -> Iterator[Verdict]:
        """The canaries that must be taken back, by what all workers have seen so far."""
        canaries = self._registry.canaries()
        for ended in [name for name in list(self._watched) if name not in canaries]:  # a copy: requests add to it
            self._watched.pop(ended, None)
        bounded = [canary for canary in canaries.values() if canary.rules.has_bounds]
        others = list(self._others()) if bounded else []
        for canary in bounded:
            seen = deepcopy(self._seen(canary))
            for other in others:
                seen.add(other)
            reason = _broken(canary.rules, seen.tried, seen.served)
            if reason:
                yield Verdict(canary.model, canary.rules.trial, reason)

    def _seen(self, canary: CanaryModel) -> Seen:
        """What this worker has seen of ``canary``: what it is counting, as far as that is about the same."""
        model, replaces = canary.model, canary.replaces
        trial = Trial(model.name, model.version, canary.rules.trial)
        serves = "" if replaces is None else replaces.digest
        before = self._watched.get(model.name)
        if before is None or before.seen.trial != trial:
            return Seen(trial, serves)
        if before.seen.serves != serves:
            return Seen(trial, serves, before.seen.tried, Side())
        return before.seen

    def _others(self) -> Iterator[Seen]:
        if self._files is not None:
            for slot, seen in self._files.read():
                if slot != self._slot:
                    yield from seen


def _broken(rules: Canary, tried: Side, served: Side) -> str:
    """Which rule is broken, in words; empty when none is, or when too little was seen."""
    if tried.requests < rules.minimum_requests:
        return ""
    rate = tried.failures / tried.requests
    if rules.max_error_rate is not None and rate > rules.max_error_rate:
        return f"{rate:.1%} of {tried.requests} requests failed, and {rules.max_error_rate:.1%} may"
    if rules.max_latency_ratio is not None and served.answered >= _LEAST_SERVED:
        ratio = tried.mean_seconds / served.mean_seconds if served.mean_seconds else 0.0
        if ratio > rules.max_latency_ratio:
            return f"it takes {ratio:.1f} times as long as what serves, and {rules.max_latency_ratio:g} is allowed"
    return ""
