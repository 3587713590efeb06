"""What the server itself answers on the wire, before the application or instead of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from support.hosts import GOOD_HOSTS, WITHOUT_ONE_GOOD_HOST
from support.problems import assert_is_listed
from support.server import STAND_IN, Reply, RunningServer

pytestmark = pytest.mark.usefixtures("worker_class")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, worker_class: str) -> Iterator[RunningServer]:
    environ = {
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_SERVER__BODY_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_INFERENCE__MAX_WAITING": "4",
    }
    home = tmp_path_factory.mktemp("wire") / "home"
    with RunningServer(home, "--workers", "1", "--threads", "4", command=STAND_IN, environ=environ) as running:
        yield running


def raw(server: RunningServer, *parts: bytes, port: int | None = None) -> bytes:
    """Everything that the server sends, until it closes, in answer to ``parts``."""
    with socket.create_connection(("127.0.0.1", port or server.port), timeout=20) as client:
        for part in parts:
            client.sendall(part)
        with client.makefile("rb") as answer:
            return answer.read()


def parsed(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(status.split()[1]), headers, body)


def assert_is_problem(reply: Reply, status: int) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert "server" not in reply.headers
    fields = json.loads(reply.body)
    assert fields["status"] == status
    assert_is_listed(fields)
    assert fields["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"CANARY\r\n\r\n", 400),
        (b"GET canary\r\n\r\n", 400),
        (b"GET /canary HTTP/9.9\r\n\r\n", 505),
        (b"canary / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCan ary: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\ncanary_header: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n canary\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: canary\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: canary\r\n\r\n", 417),
        (b"GET /" + b"canary" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"canary" * 2000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: canary\r\n" * 100 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: canary\r\n" * 10_000, 431),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: canary\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", 400),
    ],
)
def test_request_that_is_not_http_gets_a_problem_that_quotes_nothing(
    server: RunningServer, request_bytes: bytes, status: int
) -> None:
    answer = raw(server, request_bytes)
    assert_is_problem(parsed(answer), status)
    assert b"canary" not in answer.lower()


@pytest.mark.parametrize(
    "target", [b"/version", b"/version?q", b"http://a/version"], ids=["plain", "general", "absolute"]
)
@pytest.mark.parametrize("fields", WITHOUT_ONE_GOOD_HOST.values(), ids=WITHOUT_ONE_GOOD_HOST.keys())
def test_request_that_does_not_name_its_host_once_is_refused(
    server: RunningServer, target: bytes, fields: bytes
) -> None:
    assert_is_problem(
        parsed(raw(server, b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + fields + b"\r\n")), 400
    )


@pytest.mark.parametrize("fields", GOOD_HOSTS.values(), ids=GOOD_HOSTS.keys())
def test_every_host_that_may_be_named_is_taken(server: RunningServer, fields: bytes) -> None:
    for target in (b"/version", b"/version?q"):
        answer = raw(server, b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + fields + b"\r\n")
        assert parsed(answer).status == 200


def test_http_1_0_need_not_name_a_host_and_cannot_name_two(server: RunningServer) -> None:
    assert parsed(raw(server, b"GET /version HTTP/1.0\r\n\r\n")).status == 200
    assert_is_problem(parsed(raw(server, b"GET /version HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")), 400)


def test_exception_of_the_application_is_a_problem_that_tells_nothing(server: RunningServer) -> None:
    answer = raw(server, b"GET /boom HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert_is_problem(parsed(answer), 500)
    assert b"quotes" not in answer


def test_no_answer_names_the_server_software(server: RunningServer) -> None:
    for port in (server.port, server.metrics_port):
        for path in ("/version", "/metrics", "/no/such/path", "/boom"):
            reply = server.request("GET", path, port=port)
            assert "server" not in reply.headers
            assert b"gunicorn" not in reply.body


def test_slow_header_block_gets_408_and_the_connection_closes(server: RunningServer) -> None:
    assert_is_problem(parsed(raw(server, b"GET /version HTTP/1.1\r\nHost: a\r\n")), 408)


def test_slow_body_gets_408_and_the_connection_closes(server: RunningServer) -> None:
    assert_is_problem(parsed(raw(server, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")), 408)


def test_slow_body_too_long_to_be_gathered_gets_408(server: RunningServer) -> None:
    assert_is_problem(parsed(raw(server, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\nhalf")), 408)


def test_slow_chunked_body_gets_408(server: RunningServer) -> None:
    assert_is_problem(
        parsed(raw(server, b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")), 408
    )


def test_slow_body_under_v2_gets_the_errors_of_that_protocol(server: RunningServer) -> None:
    reply = parsed(raw(server, b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"))
    assert reply.status == 408
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"] == reply.json()["detail"]
    assert reply.json()["type"] == "/docs#body_too_slow"


def test_connection_that_sends_nothing_is_closed_without_a_word(server: RunningServer) -> None:
    assert raw(server) == b""


def test_many_half_sent_requests_hold_no_thread(server: RunningServer) -> None:
    halves = []
    try:
        for begun in (
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf",
        ) * 30:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            client.sendall(begun)
            halves.append(client)
        assert server.get("/version", timeout=1).status == 200
    finally:
        for client in halves:
            client.close()


def test_bytes_sent_one_by_one_are_one_request(server: RunningServer) -> None:
    request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    reply = parsed(raw(server, *(bytes([byte]) for byte in request)))
    assert (reply.status, reply.body) == (200, b"hello")


def test_requests_sent_together_are_answered_in_their_order(server: RunningServer) -> None:
    first = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
    last = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast"
    answer = raw(server, first + first + last)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.endswith(b"last")


def test_body_of_a_million_bytes_arrives_whole(server: RunningServer) -> None:
    body = b"0123456789" * 100_000
    assert server.request("POST", "/echo", body=body).body == body


def test_body_that_ends_before_its_length_is_never_taken_for_whole(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client, client.makefile("rb") as answer:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        assert_is_problem(parsed(answer.read()), 400)


def test_answer_before_the_whole_body_has_come_says_close(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client, client.makefile("rb") as answer:
        client.sendall(b"POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
        assert parsed(answer.read()).headers["connection"] == "close"


def test_unread_body_that_has_come_leaves_the_connection_open(server: RunningServer) -> None:
    first = b"POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    answer = raw(server, first + b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 2


def test_waiting_client_is_told_to_continue(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client, client.makefile("rb") as answer:
        client.sendall(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        client.sendall(b"hello")
        assert answer.read().endswith(b"hello")


def test_more_requests_than_can_be_answered_in_time_are_refused_at_once(server: RunningServer) -> None:
    replies: list[Reply] = []
    callers = [threading.Thread(target=lambda: replies.append(server.get("/sleep/1"))) for _ in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    answered = sorted(reply.status for reply in replies)
    assert answered == [200] * 8 + [503] * 22
    refused = next(reply for reply in replies if reply.status == 503)
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 10


@pytest.mark.parametrize("header", [b"Host: a\r\nServer-Port: ", b"Host: a\r\nX-Forwarded-Port: ", b"Host: 127.0.0.1:"])
def test_no_header_opens_the_metrics_on_the_api_port(server: RunningServer, header: bytes) -> None:
    claim = header + str(server.metrics_port).encode()
    answer = raw(server, b"GET /metrics HTTP/1.1\r\nConnection: close\r\n" + claim + b"\r\n\r\n")
    assert parsed(answer).status == 404


def test_metrics_port_answers_nothing_else(server: RunningServer) -> None:
    assert server.request("GET", "/version", port=server.metrics_port).status == 404
    reply = server.request("POST", "/metrics", port=server.metrics_port)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_every_line_of_the_log_is_one_json_object_and_holds_no_credential(server: RunningServer) -> None:
    server.get("/boom")
    raw(server, b"GET /\x1b[31m\r\n{} HTTP/1.1\r\nHost: a\r\n\r\n")
    lines = server.log_lines()
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    assert all(line["time"].endswith("Z") for line in lines)
    assert "abcdefghijklmnop" not in server.log_text()
    assert "\x1b" not in server.log_text()
