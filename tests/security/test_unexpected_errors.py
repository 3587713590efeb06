"""Whatever goes wrong inside, a caller learns its request id and nothing else, and the log learns no credential."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.test import Client

from secure_ml_api.telemetry.logs import fields_of
from support.application import Application
from support.bodies import OIP, ROWS, tensor

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
INSIDE = "select secret from /home/somebody"


def raising(error: BaseException) -> Callable[..., Any]:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    return fails


ERRORS = [
    RuntimeError(INSIDE),
    KeyError(INSIDE),
    MemoryError(INSIDE),
    RecursionError(INSIDE),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, INSIDE),
    OSError(28, INSIDE),
    OperationalError(INSIDE, {"secret": INSIDE}, Exception(INSIDE)),
]
# A part of each step of the way down, and how to reach it.
PARTS = ["authenticator.authenticate", "limiter.check", "limiter.admit", "registry.resolve", "runner.run"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("part", PARTS)
def test_an_error_in_any_room_is_a_500_that_tells_only_the_request_id(
    door: Client, application: Application, monkeypatch: pytest.MonkeyPatch, part: str, error: Exception
) -> None:
    headers = {**application.headers(), "Content-Type": "application/json", "X-Request-Id": "find-me"}
    room, _, method = part.partition(".")
    monkeypatch.setattr(type(getattr(application.house.services, room)), method, raising(error))
    for path, body in ((ROWS, ROW), (OIP, tensor())):
        answer = door.post(path, data=body, headers=headers)
        assert answer.status_code == 500
        problem = json.loads(answer.get_data())
        assert problem["request_id"] == answer.headers["X-Request-Id"] == "find-me"
        assert problem["detail"].startswith("something went wrong here")
        assert INSIDE not in str(answer.headers) + answer.get_data(as_text=True)
        assert "Traceback" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "path", ["/v2/models/iris", "/v1/models/iris", "/v1/models/iris/metadata", "/docs", "/openapi.json", "/v2"]
)
def test_an_error_in_a_route_of_flask_alone_is_told_alike(
    application: Application, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    headers = application.headers("models:read")
    for name, view in application.app.view_functions.items():
        monkeypatch.setitem(application.app.view_functions, name, raising(RuntimeError(INSIDE)))
        assert callable(view)
    answer = application.client.get(path, headers=headers)
    assert answer.status_code == 500
    assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]
    assert INSIDE not in answer.get_data(as_text=True)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_log_of_an_error_tells_the_cause_and_no_credential(
    door: Client, application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = application.token("predict:*")
    monkeypatch.setattr(type(application.house.services.registry), "resolve", raising(RuntimeError("the cause")))
    with caplog.at_level(logging.DEBUG):
        answer = door.post(f"{ROWS}?x={token}", data=ROW, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 500
    logged = [json.dumps(fields_of(record), default=str) for record in caplog.records]
    assert any("the cause" in line and "Traceback" in line for line in logged)
    assert not [line for line in logged if token in line or token.rpartition(".")[2] in line]


def test_an_error_leaves_no_place_in_flight_taken(
    door: Client, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Authorization": f"Bearer {application.token('predict:*', concurrency=2)}"}
    with monkeypatch.context() as patch:
        patch.setattr(type(application.house.services.runner), "run", raising(RuntimeError(INSIDE)))
        assert [door.post(ROWS, data=ROW, headers=headers).status_code for _ in range(5)] == [500] * 5
    assert door.post(ROWS, data=ROW, headers=headers).status_code == 200
