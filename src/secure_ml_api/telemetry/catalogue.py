"""The metric catalogue, on one screen: every number that the server tells, and what it is called by."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHORT_SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1, 5, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
_MODEL = ("model", "version")
_WORKER = ("worker",)

ENDS = ("died", "relief", "reload", "surplus")
"""Why a worker came to its end while the server went on: by itself or killed; it had answered its share, or asked to
be replaced; its configuration was replaced; there are to be fewer."""


class Number(Protocol):
    """Where prometheus_client keeps one number of a series; ``inc`` and ``set`` may be called by any thread."""

    def inc(self, amount: float) -> None: ...

    def set(self, value: float) -> None: ...


class Catalogue:
    """The series of one process; in files, where there is a directory for them, with ``registry`` None."""

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
            "shadow_compared_total", "Rows of a shadow, by how its answers compare.", (*_MODEL, "outcome")
        )
        self.canaries_rolled_back = counter(
            "canaries_rolled_back_total", "Canaries taken back by their rules, each once.", _MODEL
        )
        self.model_info = gauge("model_info", "1 for each model served.", (*_MODEL, "runtime", "digest"), "livemax")

        self.certificate_ends = gauge(
            "certificate_expiry_timestamp_seconds", "When the TLS certificate ends.", ("port",), "livemin"
        )
        self.client_revocations_end = gauge(
            "client_revocations_expiry_timestamp_seconds",
            "When the first of the lists of revoked client certificates ends.",
            ("port",),
            "livemin",
        )

        # What each worker says of itself, by the number of its slot.
        self.worker_started = gauge(
            "worker_start_timestamp_seconds", "When this worker began to serve.", _WORKER, "livemax"
        )
        self.worker_seen = gauge(
            "worker_heartbeat_timestamp_seconds", "When this worker last said how it is.", _WORKER, "livemax"
        )
        self.worker_in_flight = gauge("worker_in_flight", "Requests this worker is answering.", _WORKER, "livesum")
        self.worker_waiting = gauge("worker_waiting", "Requests of it that wait for a run.", _WORKER, "livesum")
        self.worker_connections = gauge("worker_connections", "Connections it has open.", _WORKER, "livesum")
        self.worker_memory = gauge("worker_resident_memory_bytes", "Memory it has in use.", _WORKER, "livesum")
        self.worker_cpu = counter("worker_cpu_seconds_total", "User and system time of its process.", _WORKER)
        self.workers_ended = counter("workers_ended_total", "Workers that were followed by others.", ("reason",))
        for reason in ENDS:  # seen at zero, so that the first one is an increase
            self.workers_ended.labels(reason)

        # One child of each kind, so that a worker opens all its files when it starts and not in some later request.
        self.rejected.labels("overloaded")
        self.request_seconds.labels("unmatched")
        self.in_flight_number = number_of(self.in_flight)
        self.in_flight_now = 0  # an own count, as the value starts anew when its file is lost
        self.lock = Lock()


def number_of(series: Counter | Gauge) -> Number:
    """The number of a series without what its class asks before each change."""
    number: Number = series._value  # noqa: SLF001
    return number
