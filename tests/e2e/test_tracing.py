"""A real server and a collector that comes and goes: spans arrive, and predictions never wait for them."""

from __future__ import annotations

from pathlib import Path

from secure_ml_api.inference.spine import STEPS
from support.collector import Collector
from support.server import ClientSecret, RunningServer, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LAST = "0af7651916cd43dd8448eb211c80319c"
ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
AWAY = "the collector takes no spans; they are dropped"
BACK = "the collector takes spans again"


def predict(server: RunningServer, token: str, trace: str = TRACE) -> dict[str, str]:
    """The headers of an answer, which must be a prediction."""
    headers = {"Authorization": f"Bearer {token}", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    reply = server.request("POST", "/v1/models/iris/predict", body=ROW, headers=headers)
    assert reply.status == 200, reply.body
    return reply.headers


def says(server: RunningServer, message: str) -> bool:
    return any(line["message"] == message for line in server.log_lines())


def test_spans_arrive_while_there_is_a_collector_and_nothing_waits_while_there_is_none(home: Path) -> None:
    with Collector() as collector:
        environ = {
            "SECURE_ML_API_TELEMETRY__TRACING": "true",
            "SECURE_ML_API_TELEMETRY__OTLP_ENDPOINT": collector.url,
            "SECURE_ML_API_TELEMETRY__RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=for-the-collector",
            "NO_PROXY": "127.0.0.1",
        }
        server = RunningServer(home, "--workers", "1", environ=environ)
        with server:
            client: ClientSecret = server.create_client("traced", "predict:iris")
            token = server.token(client)
            answered = predict(server, token)["traceresponse"]
            wait_until(lambda: len(collector.spans()) > len(STEPS), what="the arrival of spans")
            spans = {span.name: span for span in collector.spans() if span.trace_id.hex() == TRACE}
            assert {step.__name__ for step in STEPS} < spans.keys()
            request = spans["POST /v1/models/{name}/predict"]
            assert answered == f"00-{TRACE}-{request.span_id.hex()}-01"
            assert request.end_time_unix_nano >= spans["encode"].end_time_unix_nano
            assert request.start_time_unix_nano <= spans["authenticate"].start_time_unix_nano
            resource = collector.resources()[0]
            assert resource["service.name"] == "secure-ml-api"
            assert resource["deployment.environment.name"] == "test"
            assert collector.headers["x-key"] == "for-the-collector"
            wait_until(lambda: any(line.get("trace_id") == TRACE for line in server.log_lines()))

            collector.__exit__(None, None, None)
            predict(server, token)
            wait_until(lambda: says(server, AWAY), what="the line that says that the collector is away")
            predict(server, token)
            with Collector(collector.port) as successor:
                wait_until(lambda: predict(server, token) and says(server, BACK), what="the line that it is back")
                predict(server, token, LAST)
                assert server.stop() == 0
                assert LAST in {span.trace_id.hex() for span in successor.spans()}
        assert not any(line["logger"].startswith("opentelemetry") for line in server.log_lines())


def test_a_collector_that_does_not_answer_keeps_no_worker_from_leaving(home: Path) -> None:
    with Collector() as collector:
        collector.is_stuck = True
        environ = {
            "SECURE_ML_API_TELEMETRY__TRACING": "true",
            "SECURE_ML_API_TELEMETRY__OTLP_ENDPOINT": collector.url,
            "SECURE_ML_API_SERVER__GRACEFUL_TIMEOUT_SECONDS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        with RunningServer(home, "--workers", "1", environ=environ) as server:
            token = server.token(server.create_client("traced", "predict:iris"))
            predict(server, token)
            assert server.stop() == 0
            # Nobody had to be killed: the master says so when it does.
            assert not [line for line in server.log_lines() if line["level"] in {"error", "critical"}]
