"""Requests that wait for the same turn of a worker's loop, over a real server."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.hanging import for_ever
from support.loaded import HANGING
from support.redis_server import RedisServer
from support.server import Reply, RunningServer, reply_of, wait_until

SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]
PREDICT = "/v1/models/iris-tree/predict"
MOST_TOGETHER = 16

Asked = tuple[str, object]
"""A path and what is sent there."""


@pytest.fixture(scope="module")
def server(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = Path(shutil.copytree(prepared_home, tmp_path_factory.mktemp("together") / "home"))
    with RunningServer(home, "--workers", "1") as running:
        yield running


@contextmanager
def connections(server: RunningServer, many: int) -> Iterator[list[http.client.HTTPConnection]]:
    """So many that the worker knows already."""
    with ExitStack() as opened:
        made = [server.connection() for _ in range(many)]
        for connection in made:
            opened.callback(connection.close)
            connection.request("GET", "/v2")
            connection.getresponse().read()
        yield made


def at_once(server: RunningServer, token: str, asked: Sequence[Asked]) -> list[Reply]:
    """The replies to requests that have all come when the only worker looks."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    (worker,) = server.worker_pids()
    with connections(server, len(asked)) as ways:
        os.kill(worker, signal.SIGSTOP)
        try:
            for connection, (path, payload) in zip(ways, asked, strict=True):
                connection.request("POST", path, json.dumps(payload), headers)
        finally:
            os.kill(worker, signal.SIGCONT)
        return [reply_of(connection.getresponse()) for connection in ways]


@contextmanager
def parked(server: RunningServer, token: str, seconds: float) -> Iterator[http.client.HTTPConnection]:
    """A connection whose request waits, for so many seconds, for a run that does not end."""
    headers = {"Authorization": f"Bearer {token}", "Request-Timeout": str(seconds)}
    with connections(server, 1) as (connection,):
        body = json.dumps({"features": for_ever("slow-stuck")})
        connection.request("POST", "/v1/models/slow-stuck/predict", body, headers)
        wait_until(lambda: server.metric("secure_ml_api_in_flight") >= 1, 30, "a request in flight")
        yield connection


def token_of(server: RunningServer, name: str, **options: str) -> str:
    return server.token(server.create_client(name, "predict:*", **{"rate": "1000000/minute", **options}))


def test_they_share_runs_of_a_bounded_size_and_each_gets_its_own_answer(server: RunningServer) -> None:
    token = token_of(server, "crowd")
    runs = server.metric("secure_ml_api_batch_rows_count", model="iris-tree")
    asked: list[Asked] = [(PREDICT, {"features": VIRGINICA if number % 3 else SETOSA}) for number in range(40)]
    replies = at_once(server, token, asked)
    assert [reply.json()["prediction"] for reply in replies] == [2 if number % 3 else 0 for number in range(40)]
    assert server.metric("secure_ml_api_batch_rows_count", model="iris-tree") - runs < 40
    most = server.metric("secure_ml_api_batch_rows_bucket", model="iris-tree", le=str(float(MOST_TOGETHER)))
    assert most == server.metric("secure_ml_api_batch_rows_count", model="iris-tree")


def test_they_are_one_request_in_flight_of_their_client(server: RunningServer) -> None:
    token = token_of(server, "one at a time", concurrency="1")
    replies = at_once(server, token, [(PREDICT, {"features": SETOSA})] * 12)
    assert [reply.status for reply in replies] == [200] * 12


def test_a_quota_is_used_up_to_the_last_unit(server: RunningServer) -> None:
    token = token_of(server, "few", rate="7/hour")
    replies = at_once(server, token, [(PREDICT, {"features": SETOSA})] * 12)
    assert sorted(reply.status for reply in replies) == [200] * 7 + [429] * 5


def test_requests_that_follow_on_the_same_connection_are_answered_in_their_order(server: RunningServer) -> None:
    token = token_of(server, "eager")
    bodies = [json.dumps({"features": VIRGINICA if number % 2 else SETOSA}) for number in range(20)]
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    sent = "".join(f"{head}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
    with connections(server, 2) as ways:
        for connection in ways:
            connection.sock.sendall(sent.encode())
        for connection in ways:
            received = b""
            while len(found := re.findall(rb'"prediction":(\d)', received)) < 20:
                received += connection.sock.recv(65536)
            assert found == [b"2" if number % 2 else b"0" for number in range(20)]


def test_requests_that_follow_while_a_slow_model_runs_are_answered_in_their_order(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "1", command=HANGING) as running:
        token = token_of(running, "eager")
        bodies = [json.dumps({"features": [number, 0, 0, 0]}) for number in range(12)]
        head = f"POST /v1/models/sleeper/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        sent = "".join(f"{head}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
        with connections(running, 1) as (connection,):
            connection.sock.sendall(sent.encode())
            received = b""
            while len(found := re.findall(rb'"prediction":(\d+)', received)) < len(bodies):
                received += connection.sock.recv(65536)
            assert found == [str(number).encode() for number in range(12)]


def test_when_one_of_them_hangs_those_who_asked_another_model_are_answered(tmp_path: Path) -> None:
    environ = {"SECURE_ML_API_SERVER__REQUEST_DEADLINE_SECONDS": "30"}
    with RunningServer(tmp_path / "home", "--workers", "1", command=HANGING, environ=environ) as running:
        token = token_of(running, "crowd")
        stuck: Asked = ("/v1/models/stuck/predict", {"features": for_ever("stuck")})
        tiny: Asked = ("/v1/models/tiny/predict", {"features": [1, 2]})
        running.post_json(*tiny, token)
        before = running.worker_pids()
        with parked(running, token, seconds=8) as waits:
            replies = at_once(running, token, [tiny, stuck, tiny, tiny])
            assert [reply.status for reply in replies] == [200, 504, 200, 200]
            assert reply_of(waits.getresponse()).status == 504  # told so by whoever has taken over
        wait_until(lambda: running.worker_pids() - before, 30, "a new worker")


def test_where_quotas_are_elsewhere_one_that_hangs_is_told_so_by_its_deadline_and_others_are_served(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path) as redis:
        environ = {"SECURE_ML_API_STATE__URL": redis.url, "SECURE_ML_API_SERVER__REQUEST_DEADLINE_SECONDS": "300"}
        with RunningServer(tmp_path / "home", "--workers", "1", command=HANGING, environ=environ) as running:
            token = token_of(running, "crowd")
            stuck: Asked = ("/v1/models/stuck/predict", {"features": for_ever("stuck")})
            tiny: Asked = ("/v1/models/tiny/predict", {"features": [1, 2]})
            running.post_json(*tiny, token)
            with connections(running, 1) as (connection,):
                headers = {"Authorization": f"Bearer {token}", "Request-Timeout": "3"}
                connection.request("POST", stuck[0], json.dumps(stuck[1]), headers)
                wait_until(lambda: running.metric("secure_ml_api_in_flight") >= 1, 30, "a request in flight")
                assert [running.post_json(*tiny, token).status for _ in range(20)] == [200] * 20
                assert reply_of(connection.getresponse()).status == 504


def test_where_quotas_are_elsewhere_a_crowd_is_charged_in_few_round_trips_and_to_the_last_unit(
    prepared_home: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(prepared_home, tmp_path / "home"))
    with RedisServer(tmp_path) as redis:
        environ = {"SECURE_ML_API_STATE__URL": redis.url}
        with RunningServer(home, "--workers", "1", environ=environ) as running:
            token = token_of(running, "few", rate="70/hour")
            running.post_json(PREDICT, {"features": SETOSA}, token)
            before = redis.client.info("commandstats")["cmdstat_evalsha"]["calls"]
            replies = at_once(running, token, [(PREDICT, {"features": SETOSA})] * 100)
            assert sorted(reply.status for reply in replies) == [200] * 69 + [429] * 31
            asked = redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
            assert asked - 100 < 50, "of each connection, its first request is charged to its address"


def test_requests_that_wait_for_their_models_hold_no_thread(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "1", "--threads", "1", command=HANGING) as running:
        token = token_of(running, "patient")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "Request-Timeout": "3"}
        body = json.dumps({"features": for_ever("slow-stuck")})
        with connections(running, 3) as ways:
            for connection in ways:
                connection.request("POST", "/v1/models/slow-stuck/predict", body, headers)
            wait_until(lambda: running.metric("secure_ml_api_in_flight") >= 3, 30, "requests in flight")
            assert running.get("/v2/models/tiny", token).status == 200  # answered by the only thread
            assert [reply_of(connection.getresponse()).status for connection in ways] == [504] * 3
        wait_until(lambda: running.metric("secure_ml_api_in_flight") == 0, 30, "no requests in flight")
