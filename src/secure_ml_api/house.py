"""What belongs to one application while it lives: its services, its housekeeping, and what it says of its models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from .api.lane import FastLane
from .auth.assembly import Doormen, Stores
from .inference.services import Services
from .models.caretaker import Caretaker
from .models.model import Model
from .settings import Settings
from .telemetry.vitals import Vitals

if TYPE_CHECKING:
    from .telemetry.tracing import Tracing

log = logging.getLogger(__name__)

_HOUSEKEEPING_SECONDS = 1.0


@dataclass(slots=True)
class House:
    """What belongs to one application: its services, and where it is in its life."""

    settings: Settings
    stores: Stores
    doormen: Doormen
    services: Services
    caretaker: Caretaker
    tracing: Tracing | None = None
    lane: FastLane | None = None
    vitals: Vitals | None = None
    warm: bool = False
    draining: bool = False
    ask_for_relief: Callable[[], None] | None = None
    """Ask the server to replace this worker, where there is one that can."""
    _stopped: Event = field(default_factory=Event)

    def is_ready(self) -> bool:
        """Whether this worker should be sent requests."""
        return self.warm and not self.draining and not self.services.registry.unready

    def troubled(self) -> set[str]:
        """Models of which a worker of this machine refused a version or a file."""
        return {where.partition("/")[0] for where in self.caretaker.problems()}

    def published(self) -> set[str]:
        """Models that anyone may know of: those that the public documents show."""
        if not self.settings.server.publish_models:
            return set()
        return {model.name for model in self.services.registry.serving()}

    def keep(self) -> None:
        """Housekeeping, once a second until the worker stops; none of its parts can stop the others."""
        while not self._stopped.wait(_HOUSEKEEPING_SECONDS):
            for part in (
                self.doormen.authenticator.refresh,
                self.services.limiter.housekeep,
                self.services.metrics.mend,
                self.tell_how_it_is,
                self.services.canaries.tell,
                self.take_canaries_back,
                self.services.drift.tally,
            ):
                try:
                    part()
                except Exception:
                    log.exception("housekeeping failed")

    def tell_how_it_is(self) -> None:
        """The metrics show how this worker is."""
        if self.vitals is not None:
            self.vitals.tell()

    def take_canaries_back(self) -> None:
        """Those that broke a rule of theirs, on every worker: the version that serves answers everyone again.

        Every worker may find so, and one of them says so.
        """
        for model, trial, reason in self.services.canaries.verdicts():
            name, version = model.name, model.version
            if not self.caretaker.take_canary_back(name, trial):
                continue
            log.error("a canary is taken back: %s", reason, extra={"model": name, "version": version})
            self.services.metrics.canary_rolled_back(name, version)
            self.services.audit.record(
                "model.canary", actor=None, outcome="rolled back", model=name, version=version, reason=reason
            )

    def models_changed(self, before: Sequence[Model], after: Sequence[Model]) -> None:
        """The metrics show what is loaded now, and its drift is watched."""
        self.services.drift.watch(after)
        told, metrics = set(before), self.services.metrics
        for model in after:
            if model not in told:
                metrics.model_loaded(model.name, model.version, model.runtime, model.digest)
        for model in told.difference(after):
            metrics.model_unloaded(model.name, model.version, model.runtime, model.digest)

    def hangs(self, model: Model, seconds: float) -> None:
        """A run of ``model`` has gone on for so long that it is not expected to end: say so, and have others serve."""
        name, version, seconds = model.name, model.version, round(seconds, 1)
        told = {"model": name, "version": version, "seconds": seconds}
        log.error("a run does not end; this worker is replaced once another serves", extra=told)
        self.services.metrics.run_hung(name, version)
        self.services.audit.record(
            "model.hung", actor=None, outcome="failed", model=name, version=version, seconds=seconds
        )
        if self.ask_for_relief is not None:
            self.ask_for_relief()

    def stop(self) -> None:
        self._stopped.set()
        self.caretaker.stop()
        self.services.runner.watchdog.stop()
        self.services.canaries.tell()
        self.stores.trail.close()
        if self.tracing is not None:
            self.tracing.stop_worker()
