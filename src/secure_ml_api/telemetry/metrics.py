"""The few ways to count in the metric catalogue.

Under the server the numbers live in one set of files per worker slot (see ``slots``) and any worker answers for all;
without one they live in the memory of this process. No label value is the caller's to choose: routes are rules of the
URL map, models come from the registry, methods and reasons are fixed words.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from . import slots
from .all_workers import all_workers
from .catalogue import Catalogue, Number, number_of
from .feature_drift import DriftCollector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@cache
def _catalogue_of(directory: str) -> Catalogue:  # noqa: ARG001 — the key of the cache
    # One for the life of the process, as prometheus_client keeps every value it ever made and opens all of them anew
    # in each worker: an application that is rebuilt on reload must not leave a second set behind.
    return Catalogue(None)


class _ModelFacts(NamedTuple):
    name: str
    version: str
    runtime: str
    digest: str


class Distribution:
    """A histogram's one series, bound to its numbers: ``Histogram.observe`` looks for the bucket with a loop."""

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, series: Histogram) -> None:
        self._bounds: Sequence[float] = series._upper_bounds  # noqa: SLF001
        self._buckets: Sequence[Number] = series._buckets  # noqa: SLF001
        self._sum: Number = series._sum  # noqa: SLF001

    def observe(self, amount: float, times: int = 1) -> None:
        """Count ``amount``, so many times."""
        self._sum.inc(amount * times)
        self._buckets[bisect_left(self._bounds, amount)].inc(times)


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """What is counted for one version of a model, bound once so that a request looks nothing up."""

    rows: Number
    inference_seconds: Distribution
    queue_seconds: Distribution
    batch_rows: Distribution
    _predictions: Counter
    _facts: tuple[str, str]
    _outcomes: dict[str, Number]

    def predicted(self, outcome: str, rows: int = 1) -> None:
        """Count ``rows`` answered with ``outcome``: a label of the model's signature or a fixed word."""
        bound = self._outcomes.get(outcome)
        if bound is None:
            bound = self._outcomes[outcome] = number_of(self._predictions.labels(*self._facts, outcome))
        bound.inc(rows)


class Metrics:
    """The catalogue, ready to count; may be made before a fork and used after it."""

    def __init__(self) -> None:
        directory = slots.current_directory()
        self._registry = CollectorRegistry() if directory is None else None
        self._catalogue = Catalogue(self._registry) if directory is None else _catalogue_of(str(directory))
        self._routes: dict[tuple[str, str, int], tuple[Number, Distribution]] = {}
        self._bound: dict[tuple[str, str], ModelMetrics] = {}
        self._models: set[_ModelFacts] = set()
        self.drift = DriftCollector()

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is a rule of the URL map or a fixed word."""
        bound = self._routes.get((route, method, status))
        if bound is None:
            known = method if method in _METHODS else "other"
            bound = (
                number_of(self._catalogue.requests.labels(route, known, str(status))),
                Distribution(self._catalogue.request_seconds.labels(route)),
            )
            if known == method:  # what callers invent is never kept
                self._routes[route, method, status] = bound
        requests, request_seconds = bound
        requests.inc(1)
        request_seconds.observe(seconds)

    def in_flight_changed(self, delta: int) -> None:
        """One more (+1) or one fewer (−1) request is being answered by this worker."""
        catalogue = self._catalogue
        with catalogue.lock:
            catalogue.in_flight_now += delta
            catalogue.in_flight_number.set(catalogue.in_flight_now)

    def rejected(self, reason: str, count: int = 1) -> None:
        """Count a refusal, or ``count`` of them, by the fixed ``reason`` of its class."""
        self._catalogue.rejected.labels(reason).inc(count)

    def auth_failed(self, reason: str) -> None:
        """Count a failed authentication by a fixed word."""
        self._catalogue.auth_failures.labels(reason).inc()

    def run_hung(self, name: str, version: str) -> None:
        """Count a run of a model of the registry that is not expected to end."""
        self._catalogue.hung_runs.labels(name, version).inc()

    def shadow_compared(self, name: str, version: str, outcome: str, rows: int = 1) -> None:
        """Count ``rows`` that a shadow was to answer: ``equal``, ``different``, ``failed`` or ``dropped``."""
        self._catalogue.shadow_compared.labels(name, version, outcome).inc(rows)

    def canary_rolled_back(self, name: str, version: str) -> None:
        """Count a canary that broke one of its rules."""
        self._catalogue.canaries_rolled_back.labels(name, version).inc()

    def for_model(self, name: str, version: str) -> ModelMetrics:
        """The children of one version of a model of the registry."""
        facts = (name, version)
        bound = self._bound.get(facts)
        if bound is None:
            bound = self._bound[facts] = self._bind(facts)
        return bound

    def _bind(self, facts: tuple[str, str]) -> ModelMetrics:
        catalogue = self._catalogue
        return ModelMetrics(
            rows=number_of(catalogue.rows.labels(*facts)),
            inference_seconds=Distribution(catalogue.inference_seconds.labels(*facts)),
            queue_seconds=Distribution(catalogue.queue_seconds.labels(*facts)),
            batch_rows=Distribution(catalogue.batch_rows.labels(*facts)),
            _predictions=catalogue.predictions,
            _facts=facts,
            _outcomes={},
        )

    def model_loaded(self, name: str, version: str, runtime: str, digest: str) -> None:
        """From now on ``secure_ml_api_model_info`` shows this version."""
        facts = _ModelFacts(name, version, runtime, digest)
        self._models.add(facts)
        if self._registry is not None or slots.current_slot() is not None:
            # The master only remembers: what it wrote would outlive the models of a reload.
            self._catalogue.model_info.labels(*facts).set(1)

    def model_unloaded(self, name: str, version: str, runtime: str, digest: str) -> None:
        """From now on this worker no longer shows this version."""
        facts = _ModelFacts(name, version, runtime, digest)
        self._models.discard(facts)
        self._catalogue.model_info.labels(*facts).set(0)

    def certificate_ends(self, port: int, at: float) -> None:
        """The certificate that this worker shows on ``port`` ends at ``at``, in seconds since the epoch."""
        self._catalogue.certificate_ends.labels(str(port)).set(at)

    def client_revocations_end(self, port: int, at: float) -> None:
        """The first list of revoked client certificates that counts on ``port`` ends at ``at``, since the epoch."""
        self._catalogue.client_revocations_end.labels(str(port)).set(at)

    def worker_started(self, slot: int) -> None:
        """The worker in ``slot`` serves from now on."""
        self._catalogue.worker_started.labels(str(slot)).set(time.time())

    def worker_is(self, slot: int, *, waiting: int, resident_bytes: int, cpu_seconds: float) -> None:
        """How the worker in ``slot`` is, said by itself: ``cpu_seconds`` are those since it last said so."""
        worker, catalogue = str(slot), self._catalogue
        catalogue.worker_seen.labels(worker).set(time.time())
        catalogue.worker_in_flight.labels(worker).set(catalogue.in_flight_now)
        catalogue.worker_waiting.labels(worker).set(waiting)
        catalogue.worker_memory.labels(worker).set(resident_bytes)
        catalogue.worker_cpu.labels(worker).inc(cpu_seconds)

    def worker_connections(self, slot: int, count: int) -> None:
        """So many connections the worker in ``slot`` has open, those for scrapes among them."""
        self._catalogue.worker_connections.labels(str(slot)).set(count)

    def worker_ended(self, reason: str) -> None:
        """In the master: a worker is no more, for one of the reasons in ``ENDS``."""
        slots.reopen_if_lost()
        self._catalogue.workers_ended.labels(reason).inc()

    def mend(self) -> bool:
        """Make the files of this process anew if they were deleted, and state the gauges again; True if they were.

        For the start of a worker and its housekeeping: it is cheap.
        """
        lost = slots.reopen_if_lost()
        with self._catalogue.lock:
            self._catalogue.in_flight.set(self._catalogue.in_flight_now)
        if self._registry is not None or slots.current_slot() is not None:
            for facts in tuple(self._models):
                self._catalogue.model_info.labels(*facts).set(1)
        return lost

    def exposition(self) -> tuple[bytes, str]:
        """All workers' numbers in Prometheus's text format, and its content type."""
        self.mend()
        registry = self._registry or all_workers()
        return generate_latest(registry) + generate_latest(self.drift), CONTENT_TYPE_PLAIN_0_0_4
