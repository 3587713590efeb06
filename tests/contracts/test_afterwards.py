"""What may wait until an answer has been sent: telling of it in the log, but not counting it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from werkzeug.test import Client

from secure_ml_api.api.lane import AFTERWARDS
from secure_ml_api.telemetry import logs
from support.application import Application

_PREDICT = "/v1/models/iris/predict"
_COUNTED = b'secure_ml_api_requests_total{method="POST",route="/v1/models/{name}/predict",status="401"}'


def counted(application: Application) -> float:
    exposition = application.house.services.metrics.exposition()[0]
    return sum(float(line.rsplit(b" ", 1)[1]) for line in exposition.splitlines() if line.startswith(_COUNTED))


def access_lines(written: str) -> int:
    return written.count('"logger":"access"')


def test_answer_is_counted_before_it_is_sent_and_logged_when_the_server_says_that_it_has_time(
    application: Application, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_access_enabled", True)
    assert application.house.lane is not None
    client, left_to_do = Client(application.house.lane), list[Callable[[], None]]()
    before = counted(application)
    for _ in range(3):
        assert client.post(_PREDICT, data=b"{}", environ_base={AFTERWARDS: left_to_do.append}).status_code == 401
    assert counted(application) == before + 3, "or a worker that is killed has answered more than it counted"
    assert access_lines(capfd.readouterr().err) == 0
    for task in left_to_do:
        task()
    assert access_lines(capfd.readouterr().err) == 3


def test_answer_is_logged_at_once_where_the_server_makes_no_offer(
    application: Application, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_access_enabled", True)
    assert application.house.lane is not None
    Client(application.house.lane).post(_PREDICT, data=b"{}")
    assert access_lines(capfd.readouterr().err) == 1
