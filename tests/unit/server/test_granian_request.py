"""What granian's engine tells of a request, as the application gets it."""

from __future__ import annotations

from types import SimpleNamespace

from gunicorn.config import Config

from secure_ml_api.server.granian_request import environ_of


def test_wish_for_another_protocol_is_passed_over() -> None:
    scope = SimpleNamespace(
        method="GET",
        path="/v2/health/live",
        query_string="",
        http_version="1.1",
        client="192.0.2.7:4711",
        server="127.0.0.1:8000",
        headers={"host": "a", "connection": "Upgrade", "upgrade": "websocket"},
    )
    environ = environ_of(scope, {}, Config())
    assert "HTTP_UPGRADE" not in environ
    assert environ["HTTP_CONNECTION"] == "Upgrade"
