"""Two readers of one request: where the quick one takes it, it reads what gunicorn's parser reads."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secure_ml_api.server.gathering import Room
from secure_ml_api.server.plain_connection import PlainConnection, worker_constants
from secure_ml_api.server.plain_request import is_dense
from secure_ml_api.setting_sections import ServerSettings
from support.hosts import GOOD_HOSTS, WITHOUT_ONE_GOOD_HOST
from support.plain_requests import CFG, CLIENT, SERVER, assert_read_alike, taken

PLAIN = (
    b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /v1/models/iris/predict HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/models/iris:predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b-c_d\r\nContent-Length: 0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1, ::1\r\nX-Request-Id:\t abc \t\r\nAccept: */*\r\n\r\n",
)
NOT_PLAIN = (
    b"GET /?q HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%41 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nauthorization: Bearer a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Type: a\r\nContent-type: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA_B: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\nB: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\rB: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n B: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA : 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nScript-Name: /a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"A%d: 1\r\n" % number for number in range(65)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 8800 + b"\r\n\r\n",
)


@pytest.mark.parametrize("fields", WITHOUT_ONE_GOOD_HOST.values(), ids=WITHOUT_ONE_GOOD_HOST.keys())
def test_request_that_does_not_name_its_host_once_is_left_to_who_refuses_it(fields: bytes) -> None:
    assert taken(b"GET / HTTP/1.1\r\n" + fields + b"\r\n") is None


@pytest.mark.parametrize("fields", GOOD_HOSTS.values(), ids=GOOD_HOSTS.keys())
def test_every_host_that_may_be_named_is_plain(fields: bytes) -> None:
    request = b"GET / HTTP/1.1\r\n" + fields + b"\r\n"
    environ = taken(request)
    assert environ is not None
    assert_read_alike(request, environ)


@pytest.mark.parametrize("request_bytes", PLAIN)
def test_plain_request_is_read_as_gunicorn_reads_it(request_bytes: bytes) -> None:
    environ = taken(request_bytes)
    assert environ is not None
    assert_read_alike(request_bytes, environ)


@pytest.mark.parametrize("request_bytes", NOT_PLAIN)
def test_request_that_could_be_taken_in_two_ways_is_left_to_gunicorn(request_bytes: bytes) -> None:
    assert taken(request_bytes) is None


def test_where_the_application_is_mounted_elsewhere_every_request_is_left_to_gunicorn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/api")
    assert taken(PLAIN[0]) is None


@pytest.mark.parametrize("request_bytes", PLAIN)
def test_thread_that_is_handed_a_plain_request_needs_no_parser(request_bytes: bytes) -> None:
    client, server = socket.socketpair()
    with client, server:
        limits, constants = ServerSettings(), worker_constants(CFG)
        connection = PlainConnection(CFG, server, CLIENT, SERVER, limits, room=Room(0), constants=constants)
        client.sendall(request_bytes + PLAIN[0])
        assert connection.receive()
        connection.hand_over()
        assert connection.handed_over is not None
        assert_read_alike(request_bytes, connection.handed_over)
        connection.resume()
        left = connection.plain()
        assert left is not None
        assert left.path == "/v2"  # the one behind it is left


def test_body_of_a_plain_request_that_a_thread_has_keeps_its_room() -> None:
    client, server = socket.socketpair()
    body = bytes(100_000)
    with client, server:
        limits, constants, room = ServerSettings(), worker_constants(CFG), Room(len(body))
        connection = PlainConnection(CFG, server, CLIENT, SERVER, limits, room=room, constants=constants)
        request = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for part in (request[:90_000], request[90_000:]):
            client.sendall(part)
            while connection.has_unread:
                assert connection.receive()
        connection.hand_over()
        assert connection.handed_over is not None
        assert not room.take(len(body))
        connection.resume()
        assert room.take(len(body))


@pytest.mark.parametrize("proto", ["https", "http", "HTTPS", "https,http"])
def test_scheme_is_believed_as_gunicorn_believes_it(proto: str) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: %b\r\n\r\n" % proto.encode()
    environ = taken(request)
    assert environ is not None
    assert_read_alike(request, environ)


def test_header_block_like_the_one_before_is_not_mistaken_for_it() -> None:
    client, server = socket.socketpair()
    with client, server:
        limits, constants = ServerSettings(), worker_constants(CFG)
        connection = PlainConnection(CFG, server, CLIENT, SERVER, limits, room=Room(0), constants=constants)
        for number in (b"1", b"1", b"2"):
            client.sendall(
                b"POST /%b HTTP/1.1\r\nHost: a\r\nA: %b\r\nContent-Length: 1\r\n\r\n%b" % (number, number, number)
            )
            assert connection.receive()
            plain = connection.plain()
            assert plain is not None
            environ = connection.take(plain)
            assert (environ["PATH_INFO"], environ["HTTP_A"]) == (f"/{number.decode()}", number.decode())
            assert environ["wsgi.input"].read() == number


# Pieces of requests, sensible and not, so that most of what is put together is almost a request.
METHODS = st.sampled_from(["GET", "POST"] * 5 + ["PUT", "get", "G T"])
TARGETS = st.one_of(
    st.sampled_from(["/", "/v1/models/iris/predict", "/v2/models/iris/infer", "/v1/models/iris:predict"]),
    st.text("/abc.%?#:;@&=+$,'()*!~", max_size=8).map(lambda text: "/" + text),
    st.text("/ab \t\xff", max_size=4).map(lambda text: "/" + text),
    st.sampled_from(["*", "http://a/b"]),
)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 12 + ["HTTP/1.0", "HTTP/2.0", "http/1.1", ""])
# fmt: off
NAMES = st.sampled_from([
    "Host", "Content-Type", "Authorization", "X-A", "x-a", "Connection", "Cookie", "X-Forwarded-Proto", "Accept",
    "Content-Length", "content-length", "Transfer-Encoding", "Expect", "Upgrade", "TE", "X_A", "Script-Name", "Ü",
])
# fmt: on
VALUES = st.one_of(
    st.sampled_from(["0", "1", "5", "-1", "1 1", "chunked", "close", "keep-alive", "Close ", "https", "100-continue"]),
    st.text("ab,; :", max_size=8),
    st.text("a \t\r\n\x00\xff", max_size=3),
)
ENDS = st.sampled_from(["\r\n"] * 30 + ["\n", "\r", "\r\n "])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([":"] * 20 + [": ", " :", ""]), VALUES, ENDS), max_size=4)


@settings(max_examples=1500, deadline=None)
@example("POST", "/a", "HTTP/1.1", [("Host", ":", "a", "\r\n"), ("Content-Length", ":", "1", "\r\n")], b"x")
@given(METHODS, TARGETS, VERSIONS, FIELDS, st.binary(max_size=6))
def test_whatever_is_taken_is_read_as_gunicorn_reads_it(
    method: str, target: str, version: str, fields: list[tuple[str, str, str, str]], body: bytes
) -> None:
    head = f"{method} {target} {version}\r\n" + "".join(map("".join, fields)) + "\r\n"
    request = head.encode("latin-1") + body
    environ = taken(request)
    if environ is not None:
        assert_read_alike(request, environ)


@pytest.mark.parametrize(
    ("content_type", "dense"),
    [("application/vnd.apache.arrow.stream", True), ("application/json", False), (None, False)],
)
def test_a_body_that_may_hold_many_values_in_a_byte_is_told_apart(content_type: str | None, dense: bool) -> None:
    assert is_dense({} if content_type is None else {"CONTENT_TYPE": content_type}) is dense
