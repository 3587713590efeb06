"""The worker class ``granian``: what it keeps of the server's promises, and the few that its engine cannot keep."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hosts import GOOD_HOSTS, WITHOUT_ONE_GOOD_HOST
from support.problems import assert_is_listed
from support.server import STAND_IN, RunningServer, reply_of, wait_until

GRANIAN = {"SECURE_ML_API_SERVER__WORKER_CLASS": "granian"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    patience = {
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_SERVER__BODY_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_INFERENCE__MAX_WAITING": "4",
    }
    home = tmp_path_factory.mktemp("granian") / "home"
    options = ("--workers", "1", "--threads", "4")
    with RunningServer(home, *options, command=STAND_IN, environ={**GRANIAN, **patience}) as running:
        yield running


def raw(server: RunningServer, sent: bytes) -> bytes:
    """Everything that the server sends, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client, client.makefile("rb") as answer:
        client.sendall(sent)
        return answer.read()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /echo HTTP/1.1\r\nHost: a\r\ncanary_header: x\r\n\r\n", 400),
        (b"canary /echo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: canary\r\nHost: canary\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer canary\r\nAuthorization: Bearer canary\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nX: canary\xff\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: canary\r\n\r\n", 417),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ncanary\r\n0\r\n\r\n", 411),
        (b"GET /" + b"canary" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nX: " + b"canary" * 2000 + b"\r\n\r\n", 431),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"X: canary\r\n" * 80 + b"\r\n", 431),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 408),
    ],
)
def test_request_that_is_refused_here_gets_a_problem_that_quotes_nothing(
    server: RunningServer, sent: bytes, status: int
) -> None:
    answer = raw(server, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert json.loads(body)["status"] == status
    assert_is_listed(json.loads(body))
    assert b"canary" not in answer
    assert b"granian" not in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"CANARY\r\n\r\n",
        b"GET /canary HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCan ary: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n canary\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: canary\r\n" * 10_000,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_request_that_the_engine_refuses_reaches_nothing_and_is_quoted_nowhere(
    server: RunningServer, sent: bytes
) -> None:
    """With a bare status line: the engine offers no place for a problem."""
    answer = raw(server, sent)
    assert answer.split(b" ", 2)[1] in {b"400", b"411", b"431"}
    assert b"canary" not in answer.lower()


@pytest.mark.parametrize("fields", WITHOUT_ONE_GOOD_HOST.values(), ids=WITHOUT_ONE_GOOD_HOST.keys())
def test_request_that_does_not_name_its_host_once_is_refused(server: RunningServer, fields: bytes) -> None:
    head, _, body = raw(server, b"GET /version HTTP/1.1\r\nConnection: close\r\n" + fields + b"\r\n").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert json.loads(body)["status"] == 400


@pytest.mark.parametrize("fields", GOOD_HOSTS.values(), ids=GOOD_HOSTS.keys())
def test_every_host_that_may_be_named_is_taken(server: RunningServer, fields: bytes) -> None:
    answer = raw(server, b"GET /version HTTP/1.1\r\nConnection: close\r\n" + fields + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_http_1_0_need_not_name_a_host(server: RunningServer) -> None:
    assert raw(server, b"GET /version HTTP/1.0\r\n\r\n").split(b" ")[1] == b"200"


def test_slow_header_block_is_closed_without_a_word(server: RunningServer) -> None:
    assert raw(server, b"GET /version HTTP/1.1\r\nHost: a\r\n") == b""


def test_answers_name_no_software(server: RunningServer) -> None:
    for path in ("/version", "/boom", "/no/such/path"):
        assert server.request("GET", path).headers["server"] == ""


def test_bodies_arrive_whole_and_in_their_order(server: RunningServer) -> None:
    body = b"0123456789" * 100_000
    assert server.request("POST", "/echo", body=body).body == body
    first = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
    last = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast"
    assert raw(server, first + last).endswith(b"last")


def test_form_longer_than_any_is_answered_before_it_is_sent(server: RunningServer) -> None:
    """By the application; the one here has no such route."""
    head = b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n"
    assert raw(server, head).startswith(b"HTTP/1.1 404 ")


def test_path_is_told_decoded(server: RunningServer) -> None:
    assert server.request("GET", "/m%61ny/1").body == b"many "


def test_more_requests_than_can_be_answered_in_time_are_refused_at_once(server: RunningServer) -> None:
    statuses: Counter[int] = Counter()
    callers = [threading.Thread(target=lambda: statuses.update([server.get("/sleep/1").status])) for _ in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert statuses == {200: 8, 503: 22}


def test_metrics_are_on_their_own_port_alone(server: RunningServer) -> None:
    assert server.request("GET", "/metrics", headers={"Host": f"127.0.0.1:{server.metrics_port}"}).status == 404
    assert server.request("GET", "/version", port=server.metrics_port).status == 404
    assert server.metric("secure_ml_api_in_flight") == 0


def calls(server: RunningServer, stop: threading.Event, outcomes: Counter[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    while not stop.is_set():
        for path in ("/version", "/sleep/0.002"):
            try:
                connection.request("POST", path, body=b"hello")
                outcomes[str(reply_of(connection.getresponse()).status)] += 1
            except (OSError, http.client.HTTPException) as error:
                outcomes[type(error).__name__] += 1
                connection.close()
    connection.close()


def test_reloads_and_replacements_and_the_stop_lose_no_request(tmp_path: Path) -> None:
    environ = {**GRANIAN, "SECURE_ML_API_SERVER__MAX_REQUESTS": "300"}
    with RunningServer(tmp_path / "home", "--workers", "2", command=STAND_IN, environ=environ) as server:
        outcomes: Counter[str] = Counter()
        stop = threading.Event()
        callers = [threading.Thread(target=calls, args=(server, stop, outcomes)) for _ in range(4)]
        for caller in callers:
            caller.start()
        first = server.worker_pids()
        server.reload()
        wait_until(lambda: not first & server.worker_pids(), 30, "the replacement of the first workers")
        second = server.worker_pids()
        wait_until(lambda: len(second & server.worker_pids()) < 2, 30, "the replacement of a weary worker")
        assert set(outcomes) == {"200"}
        assert server.stop() == 0
        stop.set()
        for caller in callers:
            caller.join(30)
        assert set(outcomes) <= {"200", "ConnectionRefusedError"}


def test_sigterm_finishes_what_is_being_answered_and_readiness_goes_first(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "1", command=STAND_IN, environ=GRANIAN) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/sleep/3")
        wait_until(lambda: server.metric("secure_ml_api_in_flight") == 1, what="the request in flight")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/v2/health/ready").status == 503, 2, "readiness 503")
        reply = reply_of(connection.getresponse())
        connection.close()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert server.stop() == 0


def test_killed_worker_is_replaced(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "2", command=STAND_IN, environ=GRANIAN) as server:
        server.kill_worker()
        assert server.get("/version").status == 200
