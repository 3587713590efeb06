"""The metric catalogue, on one screen, and the few ways to count in it.

Under the server the numbers live in one set of files per worker slot (see ``slots``) and any worker answers for all;
without one they live in the memory of this process. No label value is the caller's to choose: routes are rules of the
URL map, models come from the registry, methods and reasons are fixed words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from . import slots
from .all_workers import all_workers
from .feature_drift import DriftCollector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHORT_SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1, 5, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MODEL = ("model", "version")


class _Catalogue:
    def __init__(self, registry: CollectorRegistry | None) -> None:
        def counter(name: str, text: str, labels: Sequence[str]) -> Counter:
            return Counter(f"secure_ml_api_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(f"secure_ml_api_{name}", text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str], mode: str) -> Gauge:
            return Gauge(f"secure_ml_api_{name}", text, labels, multiprocess_mode=mode, registry=registry)  # type: ignore[arg-type]

        self.requests = counter("requests_total", "Requests answered.", ("route", "method", "status"))
        self.request_seconds = histogram("request_seconds", "Time from request to answer.", ("route",), _SECONDS)
        self.rows = counter("rows_total", "Rows predicted.", _MODEL)
        self.inference_seconds = histogram("inference_seconds", "Time of one model run.", _MODEL, _SHORT_SECONDS)
        self.queue_seconds = histogram("queue_seconds", "Time a request waited for its run.", _MODEL, _SHORT_SECONDS)
        self.batch_rows = histogram("batch_rows", "Rows of one model run.", _MODEL, _ROWS)
        self.in_flight = gauge("in_flight", "Requests being answered now.", (), "livesum")
        self.rejected = counter("rejected_total", "Requests refused, by reason.", ("reason",))
        self.auth_failures = counter("auth_failures_total", "Authentications that failed, by reason.", ("reason",))
        self.predictions = counter("predictions_total", "Rows predicted, by outcome.", (*_MODEL, "outcome"))
        self.hung_runs = counter("hung_runs_total", "Runs past the run limit, for which a worker is replaced.", _MODEL)
        self.shadow_compared = counter(
            "shadow_compared_total", "Answers of a shadow, by how they compare.", (*_MODEL, "outcome")
        )
        self.canaries_rolled_back = counter("canaries_rolled_back_total", "Canaries taken back by their rules.", _MODEL)
        self.model_info = gauge("model_info", "1 for each model served.", (*_MODEL, "runtime", "digest"), "livemax")

        self.certificate_ends = gauge(
            "certificate_expiry_timestamp_seconds", "When the TLS certificate ends.", ("port",), "livemin"
        )

        # One child of each kind, so that a worker opens all its files when it starts and not in some later request.
        self.rejected.labels("overloaded")
        self.request_seconds.labels("unmatched")
        self.in_flight_number = _number(self.in_flight)
        self.in_flight_now = 0  # an own count, as the value starts anew when its file is lost
        self.lock = Lock()


@cache
def _catalogue_of(directory: str) -> _Catalogue:  # noqa: ARG001 — the key of the cache
    # One for the life of the process, as prometheus_client keeps every value it ever made and opens all of them anew
    # in each worker: an application that is rebuilt on reload must not leave a second set behind.
    return _Catalogue(None)


class _ModelFacts(NamedTuple):
    name: str
    version: str
    runtime: str
    digest: str


class Number(Protocol):
    """Where prometheus_client keeps one number of a series; ``inc`` and ``set`` may be called by any thread."""

    def inc(self, amount: float) -> None: ...

    def set(self, value: float) -> None: ...


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
            bound = self._outcomes[outcome] = _number(self._predictions.labels(*self._facts, outcome))
        bound.inc(rows)


class Metrics:
    """The catalogue, ready to count; may be made before a fork and used after it."""

    def __init__(self) -> None:
        directory = slots.current_directory()
        self._registry = CollectorRegistry() if directory is None else None
        self._catalogue = _Catalogue(self._registry) if directory is None else _catalogue_of(str(directory))
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
                _number(self._catalogue.requests.labels(route, known, str(status))),
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

    def shadow_compared(self, name: str, version: str, outcome: str) -> None:
        """Count an answer of a shadow: ``equal``, ``different``, ``failed`` or ``dropped``."""
        self._catalogue.shadow_compared.labels(name, version, outcome).inc()

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
            rows=_number(catalogue.rows.labels(*facts)),
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


def _number(series: Counter | Gauge) -> Number:
    """The number of a series without what its class asks before each change."""
    number: Number = series._value  # noqa: SLF001
    return number
