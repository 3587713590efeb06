"""The whole product as a process: four workers, real models, real tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import ClientSecret, RunningServer, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
PREDICT = "/v1/models/iris/predict"


@pytest.fixture
def server(home: Path) -> Iterator[RunningServer]:
    with RunningServer(home, "--workers", "4") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> ClientSecret:
    return server.create_client("e2e", "predict:*", rate="100000/minute", rows="1000000/minute")


def predict(server: RunningServer, token: str, times: int) -> None:
    for _ in range(times):
        reply = server.post_json(PREDICT, ROW, token)
        assert (reply.status, reply.json()["prediction"]) == (200, 0)


def test_predictions_are_counted_exactly_over_deaths_and_reloads(server: RunningServer, client: ClientSecret) -> None:
    token = server.token(client)
    callers = [threading.Thread(target=predict, args=(server, token, 25)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert server.metric("secure_ml_api_rows_total", model="iris") == 100
    server.kill_worker()
    server.reload()
    predict(server, token, 5)
    assert server.metric("secure_ml_api_rows_total", model="iris") == 105
    assert server.metric("secure_ml_api_predictions_total", model="iris") == 105
    assert server.metric("secure_ml_api_requests_total", method="POST", status="200") == 106
    assert server.metric("secure_ml_api_model_info", model="iris") == 1


def test_log_of_a_whole_life_is_json_and_holds_no_credential(server: RunningServer, client: ClientSecret) -> None:
    token = server.token(client)
    predict(server, token, 1)
    server.post_json(PREDICT, ROW, "not-a-token")
    server.get(f"{PREDICT}?access_token={token}")
    server.get(f"/{token}")
    wait_until(lambda: {200, 401, 404} <= {line.get("status") for line in server.log_lines()}, what="the access lines")
    server.kill_worker()
    server.reload()
    assert server.stop() == 0
    lines = server.log_lines()
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    # Each worker writes when it has time, so the order is not that of the requests.
    assert {200, 401} <= {line["status"] for line in lines if line.get("route", "").endswith("/predict")}
    assert client.client_secret not in server.log_text()
    assert token.rpartition(".")[2] not in server.log_text()


def test_lost_run_directory_is_noticed_and_predictions_go_on(server: RunningServer, client: ClientSecret) -> None:
    token = server.token(client)
    server.lose_run_directory()
    predict(server, token, 20)
    # What a worker counts before it has noticed is lost with the files.
    files = [server.home / "run" / "metrics" / f"counter_{slot}.db" for slot in range(4)]
    wait_until(lambda: all(file.exists() for file in files), 10, "new metrics files")
    before = server.metric("secure_ml_api_rows_total", model="iris")
    predict(server, token, 20)
    wait_until(lambda: server.metric("secure_ml_api_rows_total", model="iris") >= before + 20, 5, "the count")


def test_metrics_are_not_on_the_api_port(server: RunningServer, client: ClientSecret) -> None:
    assert server.get("/metrics", server.token(client)).status == 404
    assert server.get("/metrics").status in (401, 404)
