"""The wiring: settings in, a Flask application out. The only place where the rooms meet."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.routing import BaseConverter

from .api.addresses import Addresses
from .api.documents import Documents, document_routes
from .api.door import Door
from .api.guard import install_guard
from .api.health import health_routes
from .api.lane import NAME, FastLane, route_of
from .api.limits import install_limits
from .api.oauth import oauth_routes
from .api.oip import oip_routes
from .api.repository import repository_routes
from .api.rows import rows_routes
from .api.tensorflow import tensorflow_routes
from .api.traced_door import install_tracing
from .auth.assembly import Doormen, Stores, open_stores, post_doormen
from .auth.audit_key import read_audit_key
from .database.migrate import require_migrated
from .inference.admission import Admission
from .inference.reception import Reception, Target
from .inference.services import Services
from .inference.traced import way
from .models.caretaker import Caretaker
from .models.changes import Changes
from .models.installed import installed
from .models.model import Model
from .models.registry import Registry
from .models.store import Store
from .models.withheld import Withheld
from .quota.opening import open_limiter
from .runtimes.protocol import Runtime
from .settings import Settings
from .telemetry.metrics import Metrics
from .telemetry.opening import open_tracing
from .telemetry.trace_context import untraced

if TYPE_CHECKING:
    from .telemetry.tracing import Tracing

log = logging.getLogger(__name__)

EXTENSION = "secure_ml_api"
_HOUSEKEEPING_SECONDS = 1.0


class ModelName(BaseConverter):
    """A model's name or version in an address; whether there is such a one is decided after the caller is known."""

    regex = NAME


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
    warm: bool = False
    draining: bool = False
    ask_for_relief: Callable[[], None] = lambda: None
    """Ask the server to replace this worker."""
    _stopped: Event = field(default_factory=Event)

    def is_ready(self) -> bool:
        """Whether this worker should be sent requests."""
        return self.warm and not self.draining and not self.services.registry.unready

    def keep(self) -> None:
        """Housekeeping, once a second until the worker stops; none of its parts can stop the others."""
        while not self._stopped.wait(_HOUSEKEEPING_SECONDS):
            for part in (
                self.doormen.authenticator.refresh,
                self.services.limiter.housekeep,
                self.services.metrics.mend,
                self.take_canaries_back,
            ):
                try:
                    part()
                except Exception:
                    log.exception("housekeeping failed")

    def take_canaries_back(self) -> None:
        """Those that broke a rule of theirs, on every worker: the version that serves answers everyone again."""
        for model, reason in self.services.canaries.verdicts():
            name, version = model.name, model.version
            self.caretaker.take_canary_back(name)
            log.error("a canary is taken back: %s", reason, extra={"model": name, "version": version})
            self.services.metrics.canary_rolled_back(name, version)
            self.services.audit.record(
                "model.canary", actor=None, outcome="rolled back", model=name, version=version, reason=reason
            )

    def models_changed(self, before: Sequence[Model], after: Sequence[Model]) -> None:
        """The metrics show what is loaded now."""
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
        self.ask_for_relief()

    def stop(self) -> None:
        self._stopped.set()
        self.caretaker.stop()
        self.services.runner.watchdog.stop()
        self.stores.trail.close()
        if self.tracing is not None:
            self.tracing.stop_worker()


def create_app(settings: Settings, runtimes: Sequence[Runtime] = ()) -> Flask:
    """The application for ``settings``; builds what may be built before a fork, and starts nothing.

    ``runtimes`` load its packages: when none are given, the built-in ones and those that the settings name. Raises
    OperatorError for a home that cannot serve.
    """
    require_migrated(settings.database_url)
    read_audit_key(settings.keys_directory)
    app = Flask(EXTENSION, static_folder=None, template_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.server.body_limit_bytes,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.url_map.converters["model"] = ModelName
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    stores = open_stores(settings)
    tracing = open_tracing(settings.telemetry)
    doormen = post_doormen(app, settings, stores, untraced if tracing is None else tracing.outgoing)
    services = _services(settings, stores, doormen, runtimes, tracing)
    changes = Changes(settings.run_directory)
    caretaker = Caretaker(
        Store.of(settings), services.registry, changes, _withheld(settings), settings.models.watch_seconds
    )
    services.registry.load()
    house = House(settings, stores, doormen, services, caretaker, tracing)
    app.extensions[EXTENSION] = house
    _add_routes(app, house)
    return app


def start_worker(app: Flask, slot: int) -> None:
    """In each worker, after the fork: take the slot, load what had to wait, warm up, start housekeeping."""
    house = house_of(app)
    services = house.services
    if house.tracing is not None:
        house.tracing.start_worker()
    services.limiter.set_slot(slot)
    services.limiter.drop_slot(slot)
    services.registry.start_worker()
    services.registry.warm_up()
    services.runner.start_worker(house.hangs)
    for where, problem in services.registry.problems.items():
        log.error("model refused: %s", problem, extra={"model": where})
    for model in services.registry.models():
        services.metrics.model_loaded(model.name, model.version, model.runtime, model.digest)
    house.caretaker.start_worker(slot, house.models_changed)
    house.doormen.authenticator.refresh()
    Thread(target=house.keep, name="housekeeping", daemon=True).start()
    house.warm = True


def offer_relief(app: Flask, ask_for_relief: Callable[[], None]) -> None:
    """In each worker: what to call, from whichever thread, when another worker should take its place."""
    house_of(app).ask_for_relief = ask_for_relief


def begin_drain(app: Flask) -> None:
    """Not ready from now on; requests are still answered."""
    house_of(app).draining = True


def stop_worker(app: Flask) -> None:
    """After the last request of a worker: write out what is still in memory."""
    house_of(app).stop()


def drop_slot(app: Flask, slot: int) -> None:
    """In the master, after a worker died: give back what its requests held."""
    house_of(app).services.limiter.drop_slot(slot)


def takes_in_place(app: Flask, method: str, path: str, body_bytes: int) -> bool:
    """Whether the fast lane answers such a request soon, without waiting for a model or for another machine."""
    house = house_of(app)
    if house.lane is None or house.settings.state.url.startswith(("redis", "valkey")):
        return False
    return house.lane.is_quick(method, path, body_bytes)


def reception(app: Flask) -> Reception:
    """What this worker is to ask before it gives a request to the application."""
    return house_of(app).services.reception


def exposition(app: Flask) -> tuple[bytes, str]:
    """All workers' metrics, and their content type."""
    return house_of(app).services.metrics.exposition()


def house_of(app: Flask) -> House:
    """The house of an application made by ``create_app``."""
    house: House = app.extensions[EXTENSION]
    return house


def _services(
    settings: Settings, stores: Stores, doormen: Doormen, runtimes: Sequence[Runtime], tracing: Tracing | None
) -> Services:
    inference = settings.inference
    registry = Registry(
        Store.of(settings),
        threads=inference.threads_per_run,
        runtimes=runtimes or installed(inference.runtimes, inference.architectures),
        withheld=_withheld(settings),
    )
    runs = inference.max_concurrent_runs or max(1, len(os.sched_getaffinity(0)) // max(1, settings.server.workers or 1))
    steps, guard, new_runner = way(tracing)
    runner = new_runner(Admission(runs, inference.max_waiting), settings.batching, inference)
    return Services(
        authenticator=doormen.authenticator,
        limiter=open_limiter(settings.state, settings.quotas, settings.run_directory),
        registry=registry,
        runner=runner,
        metrics=Metrics(),
        audit=stores.trail,
        quotas=settings.quotas,
        max_rows=inference.max_rows,
        body_limit_bytes=settings.server.body_limit_bytes,
        steps=steps,
        guard=guard,
        reception=Reception(runner, _target),
    )


def _withheld(settings: Settings) -> Withheld:
    return Withheld(settings.models_directory, settings.run_directory)


def _target(path: str) -> Target | None:
    """The model that a path of a predict route is about."""
    route = route_of(path)
    return (route.name, route.version) if route is not None else None


def _add_routes(app: Flask, house: House) -> None:
    settings, services = house.settings, house.services
    addresses = Addresses(settings.server.trusted_proxies)
    deadline_seconds = settings.server.request_deadline_seconds
    door = Door(app, services, addresses, deadline_seconds)
    limiter = install_limits(app, services.limiter, settings.quotas)
    documents = Documents(services.registry, services.max_rows, show_models=settings.server.publish_models)
    for routes in (
        health_routes(house.is_ready),
        oauth_routes(house.doormen.oauth, settings.tokens.issuer, limiter, settings.quotas),
        document_routes(documents),
        rows_routes(door),
        tensorflow_routes(door, services.registry),
        oip_routes(door, services.registry, Store.of(settings)),
        repository_routes(services, house.caretaker, deadline_seconds),
    ):
        app.register_blueprint(routes)
    install_guard(app, door)
    if settings.fast_lane.enabled:
        house.lane = FastLane(app.wsgi_app, services, addresses, deadline_seconds)
        app.wsgi_app = house.lane  # type: ignore[method-assign]
    if house.tracing is not None:
        install_tracing(app, house.tracing)
