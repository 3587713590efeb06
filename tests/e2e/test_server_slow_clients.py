"""Clients that stop half way, while others call: nobody else notices."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from secure_ml_api.server.config import SPARE_DESCRIPTORS
from secure_ml_api.server.shedding import FEW_IN_A_TURN
from support.server import STAND_IN, RunningServer, wait_until

CROWD = 60
# Three times the threads, and few enough that a slow machine does not take the sending of their answers for overload.
FEW = FEW_IN_A_TURN - 4

HALF_HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Hal"
HALVES = {
    "a header block": HALF_HEAD,
    "a short body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf",
    "a long body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"half" * 1000,
    "a body in chunks": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "a body in more codings": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhe",
    "a body that had to be asked for": b"POST /echo HTTP/1.1\r\nHost: a\r\n"
    b"Content-Length: 99\r\nExpect: 100-continue\r\n\r\nhalf",
}
# Each looks whole, or is none, to who reads it less closely than the parser, which waits for the rest.
ODD_HALVES = {
    "a field that is like Expect": b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Expect: all\r\nContent-Length: 99\r\n\r\nhalf",
    "an expectation in HTTP/1.0": b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\nhalf",
    "a length with many zeros": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 00000000000099\r\n\r\nhalf",
    "a chunk of very many bytes": b"POST /echo HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n100000000\r\nhalf",
    "a long extension of a chunk": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    + b"a" * 5000,
    "a long trailer": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 5000,
}
TWO_MEGABYTES = b"GET /many/400000 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module", params=["inplace", "gthread", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Four threads, and patience for longer than any of these tests takes."""
    environ = {
        "SECURE_ML_API_SERVER__WORKER_CLASS": request.param,
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "60",
        "SECURE_ML_API_SERVER__BODY_TIMEOUT_SECONDS": "60",
    }
    home = tmp_path_factory.mktemp("slow") / "home"
    with RunningServer(home, "--workers", "1", "--threads", "4", command=STAND_IN, environ=environ) as running:
        yield running


def stuck(
    server: RunningServer, sent: bytes, crowd: ExitStack, source: str = "127.0.0.1", clients: int = CROWD
) -> None:
    for _ in range(clients):
        client = crowd.enter_context(
            socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(source, 0))
        )
        client.sendall(sent)


def answers_to_others(server: RunningServer) -> Counter[int]:
    """The statuses of two hundred requests of four callers: half of them in place, half of them in threads."""
    statuses: Counter[int] = Counter()

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for path in ("/echo", "/sleep/0.001") * 25:
            connection.request("POST", path, body=b"hello")
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    return statuses


@pytest.mark.parametrize("half", HALVES)
def test_crowd_that_stops_half_way_slows_nobody_else(server: RunningServer, half: str) -> None:
    with ExitStack() as crowd:
        stuck(server, HALVES[half], crowd)
        assert answers_to_others(server) == {200: 200}


@pytest.mark.parametrize("server", ["inplace", "gthread"], indirect=True)
@pytest.mark.parametrize("half", ODD_HALVES)
def test_crowd_that_stops_half_way_in_an_odd_way_slows_nobody_else(server: RunningServer, half: str) -> None:
    with ExitStack() as crowd:
        stuck(server, ODD_HALVES[half], crowd)
        assert answers_to_others(server) == {200: 200}


@pytest.mark.parametrize("server", ["inplace", "gthread"], indirect=True)
def test_crowd_that_does_not_read_its_answers_slows_nobody_else(server: RunningServer) -> None:
    with ExitStack() as crowd:
        stuck(server, TWO_MEGABYTES, crowd, clients=FEW)
        assert answers_to_others(server) == {200: 200}


def test_answer_that_is_read_slowly_arrives_whole(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(TWO_MEGABYTES * 2 + b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answers_to_others(server) == {200: 200}
        with client.makefile("rb") as answer:
            received = answer.read()
    assert received.count(b"many ") == 800_000
    assert received.endswith(b"secure-ml-api")


def test_stuck_clients_are_told_to_leave_in_time(tmp_path: Path) -> None:
    environ = {
        "SECURE_ML_API_SERVER__WORKER_CLASS": "inplace",
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_SERVER__BODY_TIMEOUT_SECONDS": "1",
    }
    home = tmp_path / "home"
    with RunningServer(home, "--workers", "1", command=STAND_IN, environ=environ) as server, ExitStack() as crowd:
        clients = []
        for half in HALVES.values():
            clients.append(crowd.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)))
            clients[-1].sendall(half)
        for client in clients:
            with client.makefile("rb") as answer:
                assert b"HTTP/1.1 408 Request Timeout\r\n" in answer.read()


def test_address_gets_no_more_connections_than_it_may_have_and_others_do(tmp_path: Path) -> None:
    environ = {"SECURE_ML_API_SERVER__CONNECTIONS_PER_ADDRESS": "5"}
    home = tmp_path / "home"
    with RunningServer(home, "--workers", "1", command=STAND_IN, environ=environ) as server, ExitStack() as crowd:
        stuck(server, HALF_HEAD, crowd, source="127.0.0.2")
        wait_until(lambda: server.metric("secure_ml_api_rejected_total", reason="connections") == CROWD - 5)
        assert answers_to_others(server) == {200: 200}


@pytest.mark.parametrize("sent", [b"", HALF_HEAD])
def test_connections_that_have_asked_nothing_make_room_when_a_worker_is_full(tmp_path: Path, sent: bytes) -> None:
    most = SPARE_DESCRIPTORS + 2 * CROWD
    command = ("sh", "-c", f'ulimit -n {most} && exec "$@"', "sh", *STAND_IN)
    home = tmp_path / "home"
    with RunningServer(home, "--workers", "1", "--threads", "4", command=command) as server, ExitStack() as crowd:
        for _ in range(4):
            stuck(server, sent, crowd)
        assert answers_to_others(server) == {200: 200}
        assert server.metric("secure_ml_api_rejected_total", reason="connections") >= 2 * CROWD
