"""What may wait until an answer has been sent: counting it, and telling of it in the log."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.test import Client

from secure_ml_api.api.lane import AFTERWARDS
from support.application import Application

_PREDICT = "/v1/models/iris/predict"
_COUNTED = b'secure_ml_api_requests_total{method="POST",route="/v1/models/{name}/predict",status="401"}'


def counted(application: Application) -> float:
    exposition = application.house.services.metrics.exposition()[0]
    return sum(float(line.rsplit(b" ", 1)[1]) for line in exposition.splitlines() if line.startswith(_COUNTED))


def test_answer_is_counted_when_the_server_says_that_it_has_time(application: Application) -> None:
    assert application.house.lane is not None
    client, left_to_do = Client(application.house.lane), list[Callable[[], None]]()
    before = counted(application)
    for _ in range(3):
        assert client.post(_PREDICT, data=b"{}", environ_base={AFTERWARDS: left_to_do.append}).status_code == 401
    assert counted(application) == before
    for task in left_to_do:
        task()
    assert counted(application) == before + 3


def test_answer_is_counted_at_once_where_the_server_makes_no_offer(application: Application) -> None:
    assert application.house.lane is not None
    before = counted(application)
    Client(application.house.lane).post(_PREDICT, data=b"{}")
    assert counted(application) == before + 1
