"""Which port answers what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secure_ml_api.server.metrics_door import MetricsDoor


def call(method: str, path: str, port: int, **environ: str) -> tuple[str, dict[str, str], bytes]:
    seen: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        seen.update(status=status, headers=dict(headers))

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"the api"]

    door = MetricsDoor(app, 9464, lambda: (b"the metrics", "text/plain"))
    request = {"REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_PORT": str(port), **environ}
    body = b"".join(door(request, start_response))
    return seen["status"], seen["headers"], body


@pytest.mark.parametrize("path", ["/", "/metrics", "/v2"])
def test_api_port_belongs_to_the_api(path: str) -> None:
    assert call("GET", path, 8000)[2] == b"the api"


def test_metrics_port_answers_get_metrics() -> None:
    status, headers, body = call("GET", "/metrics", 9464)
    assert (status, headers["Content-Type"], body) == ("200 OK", "text/plain", b"the metrics")


@pytest.mark.parametrize("path", ["/", "/v2/health/live", "/metrics/", "/metrics%0a", "//metrics", "/oauth/token"])
def test_metrics_port_has_no_other_path(path: str) -> None:
    status, headers, body = call("GET", path, 9464)
    assert (status, headers["Content-Type"]) == ("404 Not Found", "application/problem+json")
    assert json.loads(body)["request_id"] == headers["X-Request-Id"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "INVENTED"])
def test_metrics_port_has_no_other_method(method: str) -> None:
    status, headers, _ = call(method, "/metrics", 9464)
    assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")


def test_request_id_of_the_caller_is_given_back() -> None:
    assert call("GET", "/metrics", 9464, HTTP_X_REQUEST_ID="abc")[1]["X-Request-Id"] == "abc"
