"""The wiring: settings in, a Flask application out. The only place where the rooms meet."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.routing import BaseConverter

from .api.addresses import Addresses
from .api.company import Company
from .api.documents import Documents, document_routes
from .api.door import Door
from .api.guard import install_guard
from .api.health import health_routes
from .api.lane import NAME, FastLane, target_of
from .api.limits import install_limits
from .api.oauth import oauth_routes
from .api.oip import oip_routes
from .api.repository import repository_routes
from .api.rows import rows_routes
from .api.tensorflow import tensorflow_routes
from .api.traced_door import install_tracing
from .api.walkers import Walkers
from .auth.assembly import Doormen, Stores, open_stores, post_doormen
from .auth.audit_key import read_audit_key
from .database.migrate import require_migrated
from .house import House
from .inference.admission import Admission
from .inference.drift import Drift
from .inference.reception import Reception
from .inference.services import Services
from .inference.traced import way
from .models.caretaker import Caretaker
from .models.changes import Changes
from .models.installed import installed
from .models.registry import Registry
from .models.store import Store
from .models.turns import Turns
from .models.withheld import Withheld
from .quota.opening import open_limiter
from .runtimes.protocol import Runtime
from .settings import Settings
from .state.shared import opened_briefly
from .telemetry.metrics import Metrics
from .telemetry.opening import open_tracing
from .telemetry.trace_context import untraced
from .telemetry.vitals import Vitals

if TYPE_CHECKING:
    from .telemetry.tracing import Tracing

log = logging.getLogger(__name__)

EXTENSION = "secure_ml_api"


class ModelName(BaseConverter):
    """A model's name or version in an address; whether there is such a one is decided after the caller is known."""

    regex = NAME


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
    run = settings.run_directory
    caretaker = Caretaker(
        Store.of(settings),
        services.registry,
        Changes(run),
        Turns(run),
        Withheld.of(settings),
        watch_seconds=settings.models.watch_seconds,
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
    services.drift.start_worker(slot, services.registry.models())
    services.canaries.start_worker(slot, house.settings.run_directory / "canaries")
    # Granian's workers cannot tell when nothing new reaches them: they load all models themselves.
    can_be_relieved = house.settings.server.worker_class != "granian"
    house.caretaker.start_worker(slot, house.models_changed, house.ask_for_relief if can_be_relieved else None)
    house.doormen.authenticator.refresh()
    house.vitals = Vitals(services.metrics, slot, lambda: services.runner.admission.waiting)
    Thread(target=house.keep, name="housekeeping", daemon=True).start()
    house.warm = True


def offer_relief(app: Flask, ask_for_relief: Callable[[], None]) -> None:
    """In each worker: what to call, from whichever thread, when another worker should take its place."""
    house_of(app).ask_for_relief = ask_for_relief


def begin_drain(app: Flask) -> None:
    """Not ready from now on; requests are still answered."""
    house_of(app).draining = True


def leave(app: Flask, seconds: float) -> None:
    """In a worker that takes no more connections: in ``seconds`` no request that is sent then reaches it."""
    house_of(app).caretaker.leave(seconds)


def stop_worker(app: Flask) -> None:
    """After the last request of a worker: write out what is still in memory."""
    house_of(app).stop()


def drop_slot(app: Flask, slot: int) -> None:
    """In the master, after a worker died: give back what its requests held."""
    with opened_briefly():
        house_of(app).services.limiter.drop_slot(slot)


def takes_in_place(app: Flask, method: str, path: str, body_bytes: int) -> bool:
    """Whether the fast lane answers such a request soon, without waiting for a model or for another machine."""
    house = house_of(app)
    if house.lane is None or house.settings.state.is_elsewhere:
        return False
    return house.lane.is_quick(method, path, body_bytes)


def company(app: Flask) -> Company | None:
    """How the fast lane answers requests that have come at once; None where each of them is one by itself."""
    house = house_of(app)
    if house.lane is None or house.tracing is not None:
        return None
    if house.settings.state.is_elsewhere:
        return Walkers(house.lane, house.settings.server.threads)
    return Company(house.lane)


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
        withheld=Withheld.of(settings),
    )
    runs = inference.max_concurrent_runs or max(1, len(os.sched_getaffinity(0)) // max(1, settings.server.workers or 1))
    steps, guard, new_runner = way(tracing)
    runner = new_runner(Admission(runs, inference.max_waiting), settings.batching, inference)
    metrics = Metrics()
    drift = Drift(settings.drift, settings.run_directory / "drift")
    metrics.drift.found = drift.found
    return Services(
        authenticator=doormen.authenticator,
        limiter=open_limiter(settings.state, settings.quotas, settings.run_directory),
        registry=registry,
        runner=runner,
        metrics=metrics,
        audit=stores.trail,
        quotas=settings.quotas,
        max_rows=inference.max_rows,
        body_limit_bytes=settings.server.body_limit_bytes,
        steps=steps,
        guard=guard,
        reception=Reception(runner, target_of),
        drift=drift,
    )


def _add_routes(app: Flask, house: House) -> None:
    settings, services = house.settings, house.services
    auth_failed = services.metrics.auth_failed
    addresses = Addresses(settings.server.trusted_proxies)
    deadline_seconds = settings.server.request_deadline_seconds
    door = Door(app, services, addresses, deadline_seconds)
    limiter = install_limits(app, services.limiter, settings.quotas)
    documents = Documents(services.registry, services.max_rows, show_models=settings.server.publish_models)
    for routes in (
        health_routes(house.is_ready, house.troubled, house.published),
        oauth_routes(house.doormen.oauth, settings.tokens.issuer, limiter, settings.quotas, auth_failed),
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
