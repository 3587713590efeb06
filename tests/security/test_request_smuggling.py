"""A request hidden in another one is never answered: on a real server, past both ways in which it reads HTTP.

A proxy in front and this server must agree where a request ends. Each attack here carries a second request in what one
of two readers could take for the body of the first. Either the first is answered, with the hidden one as its body, or
it is refused and the connection closes: there is never a second answer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from support.server import STAND_IN, RunningServer

HIDDEN = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, worker_class: str) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("smuggling") / "home"
    environ = {
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_SERVER__BODY_TIMEOUT_SECONDS": "1",
        "SECURE_ML_API_SERVER__KEEP_ALIVE_SECONDS": "1",
    }
    with RunningServer(home, "--workers", "1", "--threads", "4", command=STAND_IN, environ=environ) as running:
        yield running


def answers(server: RunningServer, sent: bytes) -> list[int]:
    """The statuses of all answers to ``sent``, until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            received = answer.read()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def length_of(body: bytes) -> bytes:
    return b"%d" % len(body)


ZERO_THEN_HIDDEN = b"0\r\n\r\n" + HIDDEN
REFUSED: dict[str, bytes] = {
    "a length and chunks": CHUNKED + b"Content-Length: %b\r\n\r\n" % length_of(ZERO_THEN_HIDDEN) + ZERO_THEN_HIDDEN,
    "chunks and a length": POST
    + b"Content-Length: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % length_of(ZERO_THEN_HIDDEN)
    + ZERO_THEN_HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "two lengths in one field": POST + b"Content-Length: 0, %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +%b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a length below zero": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x%x\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n" + HIDDEN,
    "a length with a space in it": POST + b"Content-Length: 0 %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a length in other digits": POST + "Content-Length: ٣\r\n\r\n".encode() + HIDDEN,
    "a length in superscript": POST + "Content-Length: ²\r\n\r\n".encode("latin-1") + HIDDEN,
    "an empty length": POST + b"Content-Length:\r\n\r\n" + HIDDEN,
    "a length of many digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + HIDDEN,
    "a space before the colon": POST + b"Content-Length : %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "an underscore in the name": POST + b"Transfer_Encoding: chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a length with an underscore in its name": POST + b"Content_Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a folded field": POST + b"X: a\r\n Content-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a NUL in the name": POST + b"Transfer-Encoding\x00: chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a vertical tab in the value": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a coding in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + ZERO_THEN_HIDDEN,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "chunked before another coding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + ZERO_THEN_HIDDEN,
    "two codings in two fields": CHUNKED + b"Transfer-Encoding: xchunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a line that ends without a return": POST + b"X: a\nContent-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a line that ends without a feed": POST + b"X: a\rContent-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "chunks in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + ZERO_THEN_HIDDEN,
    "a chunk size in other words": CHUNKED + b"\r\n0x22\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"\r\n+22\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    "a chunk size below zero": CHUNKED + b"\r\n-1\r\n" + HIDDEN,
    "a chunk size with a space before": CHUNKED + b"\r\n 0\r\n\r\n" + HIDDEN,
    "a chunk size without end": CHUNKED + b"\r\n" + b"f" * 5000 + b"\r\n" + HIDDEN,
    "a chunk size that ends without a return": CHUNKED + b"\r\n0\n\r\n" + HIDDEN,
    "a chunk longer than its size": CHUNKED + b"\r\n1\r\nxx0\r\n\r\n" + HIDDEN,
    "a chunk without an end": CHUNKED + b"\r\n1\r\nx0\r\n\r\n" + HIDDEN,
    "a line in a chunk's extension": CHUNKED + b"\r\n0;a\nb\r\n\r\n" + HIDDEN,
    "a length in the trailer": CHUNKED + b"\r\n0\r\nContent-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a space at the start of the first field": b"POST /echo HTTP/1.1\r\n Content-Length: 9\r\nHost: a\r\n\r\n" + HIDDEN,
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "no version": b"GET /version\r\n\r\n" + HIDDEN,
    "a version with a space behind": b"GET /version HTTP/1.1 \r\nHost: a\r\n\r\n" + HIDDEN,
    "a tab in the request line": b"GET\t/version\tHTTP/1.1\r\n\r\n" + HIDDEN,
    "a path with a space": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "a method in small letters": b"get /version HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_two_readers_could_end_in_two_places_is_refused_and_nothing_after_it_is_read(
    server: RunningServer, sent: bytes
) -> None:
    statuses = answers(server, sent)
    assert len(statuses) == 1, statuses
    assert statuses[0] in {400, 413, 414, 417, 431, 501, 505}


ONE_REQUEST: dict[str, bytes] = {
    "its length covers the hidden one": POST + b"Content-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "its name in small letters": POST + b"content-length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a GET with a body": b"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
    "a chunk covers the hidden one": CHUNKED + b"\r\n%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n",
    "a coding in capitals": POST
    + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n%x\r\n" % len(HIDDEN)
    + HIDDEN
    + b"\r\n0\r\n\r\n",
    "a trailer": CHUNKED + b"\r\n0\r\nX-Checksum: 5\r\n\r\n",
    "an upgrade that nobody makes": b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "a length with zeros in front": POST + b"Content-Length: 000%b\r\n\r\n" % length_of(HIDDEN) + HIDDEN,
}


@pytest.mark.parametrize("sent", ONE_REQUEST.values(), ids=ONE_REQUEST.keys())
def test_a_body_that_looks_like_a_request_is_a_body(server: RunningServer, sent: bytes) -> None:
    assert answers(server, sent) == [200]


@pytest.mark.parametrize("first", [POST + b"Content-Length: 2\r\n\r\nhi", CHUNKED + b"\r\n2\r\nhi\r\n0\r\n\r\n"])
def test_what_follows_an_honest_request_is_the_next_one(server: RunningServer, first: bytes) -> None:
    """The attacks above would be told from this one by nothing if the server always closed."""
    assert answers(server, first + HIDDEN) == [200, 200]
