"""What the ``granian`` worker class needs of granian's inner API, which may move with any release.

When one of these fails after granian was updated: compare ``granian/server/mp.py`` of the new release (how its own
server makes its workers) with ``server/granian_inner.py``, and move the pinned range only when both suites pass again.
"""

from __future__ import annotations

import http.client
import inspect
import socket
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import requires, version
from typing import Any

import pytest
from packaging.requirements import Requirement

from secure_ml_api.server.granian_inner import Engine, Watcher

MOVED = "granian's inner API has moved: see the docstring of this file"
inner: Any = import_module("granian._granian")


def test_installed_granian_is_of_the_pinned_range() -> None:
    declared = [Requirement(line) for line in requires("secure-ml-api") or ()]
    pins = [requirement.specifier for requirement in declared if requirement.name == "granian"]
    assert pins
    assert all(version("granian") in pin for pin in pins), MOVED


@pytest.mark.parametrize("name", ["RSGIWorker", "SocketHolder", "WorkerSignal", "CallbackScheduler"])
def test_classes_are_where_they_were(name: str) -> None:
    assert inspect.isclass(getattr(inner, name, None)), f"{name}: {MOVED}"


def test_worker_takes_the_arguments_that_it_took() -> None:
    used = (
        "threads",
        "blocking_threads",
        "py_threads",
        "backpressure",
        "http_mode",
        "http1_opts",
        "websockets_enabled",
    )
    signature = str(inspect.signature(inner.RSGIWorker))
    assert signature.startswith("(worker_id, sock, ipc,"), MOVED
    assert all(f"{name}=" in signature for name in used), MOVED
    assert callable(inner.RSGIWorker.serve_str), MOVED


def test_settings_of_http_1_have_the_limits() -> None:
    fields = vars(import_module("granian.http").HTTP1Settings())
    assert {"header_read_timeout", "max_buffer_size", "keep_alive"} <= set(fields), MOVED


class Served:
    """An engine whose requests are answered with what they asked."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.engine = Engine(self.listener, self._arrived, connections=8, head=(5.0, 16384))

    def _arrived(self, watcher: Watcher) -> None:
        exchange, scope = watcher.proto, watcher.scope
        told = f"{scope.method} {scope.path} {scope.query_string} {scope.http_version} {scope.headers.items()}"
        server = scope.server.rpartition(":")[2]
        fields = [("X-Port", server), ("X-Told", told)]
        if scope.method == "GET":
            exchange.response_bytes(200, fields, b"no body")
        else:
            exchange().add_done_callback(lambda body: exchange.response_bytes(200, fields, body.result()))


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.engine.stop(5)
    made.listener.close()


def answer(port: int, method: str, body: bytes | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, "/a%20b?c=d", body=body, headers={"X-Twice": "1"})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_request_is_told_as_it_was(served: Served) -> None:
    response, body = answer(served.port, "GET")
    assert body == b"no body"
    assert response.headers["X-Port"] == str(served.port), MOVED
    told = response.headers["X-Told"]
    assert told.startswith("GET /a b c=d 1.1 [("), MOVED
    assert "('x-twice', '1')" in told, MOVED


def test_body_comes_whole_to_the_callback(served: Served) -> None:
    assert answer(served.port, "POST", b"hello" * 100_000)[1] == b"hello" * 100_000, MOVED


def test_half_a_body_keeps_nobody_from_being_answered(served: Served) -> None:
    halves = [socket.create_connection(("127.0.0.1", served.port), timeout=10) for _ in range(4)]
    try:
        for half in halves:
            half.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        assert answer(served.port, "POST", b"whole")[1] == b"whole", MOVED
    finally:
        for half in halves:
            half.close()


def test_no_connection_is_taken_any_more_while_those_that_are_there_go_on(served: Served) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"no body"
    served.engine.stop_listening()
    with socket.create_connection(("127.0.0.1", served.port), timeout=0.3) as late:
        late.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(TimeoutError):
            late.recv(1)
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"no body"
    kept.close()
