"""Attacks on TLS: weaker protocols, other people's certificates, and handshakes that never end."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.certificates import Authority, Signed
from support.needs import program
from support.server import STAND_IN, RunningServer, wait_until

CROWD = 60

RUBBISH = (
    b"\x16\x03\x01\xff\xff" + b"\x00" * 300,  # a record that is too long
    b"\x80\x2e\x01\x03\x01" + b"\xff" * 60,  # a hello of SSL 2
    b"\x15\x03\x03\x00\x02\x02\x00",  # an alert before anything else
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Signed:
    return authority.client("caller")


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority, client: Signed
) -> Iterator[RunningServer]:
    """A server that demands client certificates, with little patience and four threads."""
    environ = {
        **authority.server(request.param).settings(),
        "SECURE_ML_API_SERVER__WORKER_CLASS": request.param,
        "SECURE_ML_API_SERVER__TLS_CLIENT_CA": str(authority.pem),
        "SECURE_ML_API_SERVER__TLS_CLIENT_CERTIFICATES": "required",
        "SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "3",
    }
    home = tmp_path_factory.mktemp("tls") / "home"
    options = ("--workers", "1", "--threads", "4")
    with RunningServer(home, *options, command=STAND_IN, environ=environ, tls=authority.trusting(client)) as running:
        yield running


def connect(server: RunningServer, context: ssl.SSLContext) -> bytes:
    """What the server answers to a request; raises when it wants nothing of it."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = connection.recv(1000)
        if not answer:
            raise ConnectionError("closed without an answer")
        return answer


def refused_with(server: RunningServer, context: ssl.SSLContext) -> str:
    """The reason in the log for which the server refuses a handshake that ``context`` begins."""

    def reasons() -> list[str]:
        return [line["reason"] for line in server.log_lines() if line["message"] == "a TLS handshake failed"]

    before = len(reasons())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(server, context)
    wait_until(lambda: len(reasons()) > before, what="a line in the log")
    return reasons()[-1]


def test_client_with_its_certificate_is_served(server: RunningServer) -> None:
    assert server.get("/version").status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_before_1_2_is_refused(
    server: RunningServer, authority: Authority, client: Signed, version: ssl.TLSVersion
) -> None:
    context = authority.trusting(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that these are old is the point
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert refused_with(server, context) == "UNSUPPORTED_PROTOCOL"


@pytest.mark.parametrize(
    "suite",
    [
        "AES128-GCM-SHA256",  # no forward secrecy
        "DHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",  # no authenticated encryption
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-CCM8",
        "AECDH-AES128-SHA",  # nobody is authenticated
        "ECDHE-ECDSA-NULL-SHA",  # nothing is encrypted
    ],
)
def test_weak_suite_is_refused(server: RunningServer, authority: Authority, client: Signed, suite: str) -> None:
    context = authority.trusting(client)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert refused_with(server, context) == "NO_SHARED_CIPHER"


def test_client_may_not_renegotiate(server: RunningServer, authority: Authority, client: Signed) -> None:
    to = ("-connect", f"127.0.0.1:{server.port}", "-CAfile", authority.pem)
    said = subprocess.run(
        [program("openssl", "openssl"), "s_client", *to, "-tls1_2", "-cert", client.certificate, "-key", client.key],
        input=b"R\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"RENEGOTIATING" in said.stdout + said.stderr
    assert b"no renegotiation" in said.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_without_a_certificate_is_refused(
    server: RunningServer, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.trusting()
    context.minimum_version = context.maximum_version = version
    assert refused_with(server, context) == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_certificate_of_another_authority_is_refused(
    server: RunningServer, authority: Authority, tmp_path: Path
) -> None:
    # Of the same name, as what counts is the key.
    stranger = Authority(tmp_path / "other").client("caller")
    assert "certificate" in refused_with(server, authority.trusting(stranger)).lower()


def test_certificate_that_has_ended_is_refused(server: RunningServer, authority: Authority) -> None:
    ended = authority.client("ended", days=-1)
    assert refused_with(server, authority.trusting(ended)) == "certificate has expired"


def test_certificate_of_a_server_is_no_client_certificate(server: RunningServer, authority: Authority) -> None:
    misused = authority.server("misused")
    assert "purpose" in refused_with(server, authority.trusting(misused))


def client_hello() -> bytes:
    """The first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    beginning = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        beginning.do_handshake()
    return outgoing.read()


def test_crowds_that_shake_hands_half_way_hold_up_nobody_and_are_let_go(server: RunningServer) -> None:
    hello = client_hello()
    nothing, half = b"", hello[: len(hello) // 2]
    statuses: Counter[int] = Counter()

    def call() -> None:
        for path in ("/echo", "/sleep/0.001") * 5:
            statuses[server.request("POST", path, body=b"hello").status] += 1

    callers = [threading.Thread(target=call) for _ in range(4)]
    with ExitStack() as crowd:
        stuck = []
        for begun in (nothing, half, hello) * CROWD:
            stuck.append(crowd.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)))
            stuck[-1].sendall(begun)
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        assert statuses == {200: 40}
        # The time for a header block holds for the handshake too.
        for each in stuck:
            with each.makefile("rb") as rest:
                assert b"HTTP" not in rest.read()


def test_plain_http_gets_no_answer_and_one_line(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        plain.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdefghijklmnop\r\n\r\n")
        try:
            answer = plain.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert b"HTTP" not in answer
    wait_until(lambda: "HTTP_REQUEST" in server.log_text(), what="a line in the log")
    assert "abcdefghijklmnop" not in server.log_text()


def test_failed_handshakes_are_counted(server: RunningServer, authority: Authority) -> None:
    before = server.metric("secure_ml_api_rejected_total", reason="tls_handshake")
    refused_with(server, authority.trusting())
    assert server.metric("secure_ml_api_rejected_total", reason="tls_handshake") == before + 1


def test_rubbish_leaves_one_json_line_each_and_no_trace(server: RunningServer) -> None:
    for rubbish in (
        b"\x16\x03\x01\xff\xff" + b"\x00" * 300,
        b"\x80\x2e\x01\x03\x01" + b"\xff" * 60,
        b"\x15\x03\x03\x00\x02\x02\x00",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
            plain.sendall(rubbish)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(1000):
                pass
    assert server.get("/version").status == 200
    assert not [json.dumps(line) for line in server.log_lines() if "exception" in line or line["level"] == "error"]
