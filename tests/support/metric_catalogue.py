"""The catalogue of metrics as its contract says it, and all of it counted once."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from secure_ml_api.telemetry.feature_drift import FeatureDrift
from secure_ml_api.telemetry.metrics import Metrics

CONTRACT = {
    "secure_ml_api_requests": ("counter", {"route", "method", "status"}),
    "secure_ml_api_request_seconds": ("histogram", {"route"}),
    "secure_ml_api_rows": ("counter", {"model", "version"}),
    "secure_ml_api_inference_seconds": ("histogram", {"model", "version"}),
    "secure_ml_api_queue_seconds": ("histogram", {"model", "version"}),
    "secure_ml_api_batch_rows": ("histogram", {"model", "version"}),
    "secure_ml_api_in_flight": ("gauge", set()),
    "secure_ml_api_rejected": ("counter", {"reason"}),
    "secure_ml_api_auth_failures": ("counter", {"reason"}),
    "secure_ml_api_predictions": ("counter", {"model", "version", "outcome"}),
    "secure_ml_api_hung_runs": ("counter", {"model", "version"}),
    "secure_ml_api_shadow_compared": ("counter", {"model", "version", "outcome"}),
    "secure_ml_api_canaries_rolled_back": ("counter", {"model", "version"}),
    "secure_ml_api_model_info": ("gauge", {"model", "version", "runtime", "digest"}),
    "secure_ml_api_certificate_expiry_timestamp_seconds": ("gauge", {"port"}),
    "secure_ml_api_client_revocations_expiry_timestamp_seconds": ("gauge", {"port"}),
    "secure_ml_api_feature_drift_psi": ("gauge", {"model", "version", "feature"}),
    "secure_ml_api_feature_drift_rows": ("gauge", {"model", "version"}),
    "secure_ml_api_worker_start_timestamp_seconds": ("gauge", {"worker"}),
    "secure_ml_api_worker_heartbeat_timestamp_seconds": ("gauge", {"worker"}),
    "secure_ml_api_worker_in_flight": ("gauge", {"worker"}),
    "secure_ml_api_worker_waiting": ("gauge", {"worker"}),
    "secure_ml_api_worker_connections": ("gauge", {"worker"}),
    "secure_ml_api_worker_resident_memory_bytes": ("gauge", {"worker"}),
    "secure_ml_api_worker_cpu_seconds": ("counter", {"worker"}),
    "secure_ml_api_workers_ended": ("counter", {"reason"}),
}


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    body, _ = metrics.exposition()
    return sum(
        sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def use_everything(metrics: Metrics) -> None:
    metrics.request_answered("/v2", "GET", 200, 0.01)
    metrics.in_flight_changed(1)
    metrics.rejected("overloaded")
    metrics.auth_failed("expired")
    metrics.model_loaded("iris", "1", "onnx", "sha256:0")
    metrics.run_hung("iris", "1")
    metrics.shadow_compared("iris", "2", "equal")
    metrics.canary_rolled_back("iris", "2")
    model = metrics.for_model("iris", "1")
    model.rows.inc(3)
    model.inference_seconds.observe(0.001)
    model.queue_seconds.observe(0.001)
    model.batch_rows.observe(3)
    model.predicted("setosa", 3)
    metrics.certificate_ends(8443, 1_800_000_000.0)
    metrics.client_revocations_end(8443, 1_800_000_000.0)
    metrics.worker_started(0)
    metrics.worker_is(0, waiting=2, resident_bytes=60_000_000, cpu_seconds=0.25)
    metrics.worker_connections(0, 7)
    metrics.worker_ended("died")


def drifted() -> list[FeatureDrift]:
    return [FeatureDrift("iris", "1", 500, {"sepal width (cm)": 0.5})]


def assert_is_the_contract(exposition: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    for name, (kind, labels) in CONTRACT.items():
        family = families.pop(name)
        assert family.type == kind
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == labels
    assert all(name.endswith("_created") for name in families)
