"""Bodies of very many very small chunks, each of which costs the parser more than a byte is worth; and of huge ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from support.server import STAND_IN, RunningServer

_HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    environ = {"SECURE_ML_API_SERVER__WORKER_CLASS": request.param}
    home = tmp_path_factory.mktemp("chunks") / "home"
    with RunningServer(home, "--workers", "1", command=STAND_IN, environ=environ) as running:
        yield running


def test_a_body_of_too_many_chunks_is_refused_before_a_thread_reads_it(server: RunningServer) -> None:
    assert _answer(server, b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert server.get("/version").status == 200


def test_a_body_of_many_chunks_is_read(server: RunningServer) -> None:
    assert _answer(server, b"3\r\nrow\r\n" * 10_000 + b"0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [b"ffffffffffffffff1e", b"7fffffff"])
def test_a_chunk_that_is_longer_than_any_body_is_refused_before_it_is_sent(server: RunningServer, size: bytes) -> None:
    assert _answer(server, size + b"\r\nhello").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"compress, chunked", b"deflate, chunked"])
def test_a_body_in_a_coding_that_nobody_undoes_is_refused(server: RunningServer, coding: bytes) -> None:
    head = _HEAD.replace(b"chunked", coding)
    assert _answer(server, b"5\r\nhello\r\n0\r\n\r\n", head).startswith(b"HTTP/1.1 501 ")


def test_a_long_header_block_is_refused_however_it_is_cut(server: RunningServer) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 3000) for number in range(12))
    assert _answer(server, b"", b"GET /version HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n").startswith(b"HTTP/1.1 431 ")


def _answer(server: RunningServer, body: bytes, head: bytes = _HEAD) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head + body)
        return client.recv(65536)
