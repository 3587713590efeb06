"""The catalogue of metrics, counted in the memory of one process."""

from __future__ import annotations

from secure_ml_api.telemetry.metrics import Metrics
from support.metric_catalogue import assert_is_the_contract, drifted, sample, use_everything


def test_catalogue_is_the_one_of_the_contract() -> None:
    metrics = Metrics()
    metrics.drift.found = drifted
    use_everything(metrics)
    assert_is_the_contract(metrics.exposition()[0].decode())


def test_method_that_a_caller_invents_is_no_label() -> None:
    metrics = Metrics()
    for number in range(3):
        metrics.request_answered("/v2", f"INVENTED{number}", 405, 0.01)
    assert sample(metrics, "secure_ml_api_requests_total", method="other") == 3
    assert b"INVENTED" not in metrics.exposition()[0]


def test_two_catalogues_of_one_process_are_apart_without_a_directory() -> None:
    one, other = Metrics(), Metrics()
    one.rejected("overloaded")
    assert sample(other, "secure_ml_api_rejected_total", reason="overloaded") == 0


def test_unloaded_model_is_no_longer_shown() -> None:
    metrics = Metrics()
    metrics.model_loaded("iris", "1", "onnx", "sha256:0")
    metrics.model_unloaded("iris", "1", "onnx", "sha256:0")
    assert sample(metrics, "secure_ml_api_model_info") == 0


def test_content_type_is_the_text_format() -> None:
    assert Metrics().exposition()[1] == "text/plain; version=0.0.4; charset=utf-8"
