"""TLS of a real server, as other people's clients meet it; attacks on it are in ``tests/security/test_tls.py``."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import Authority, Signed
from support.needs import program
from support.server import STAND_IN, RunningServer, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")

TWO_MEGABYTES = b"GET /many/400000 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def signed(authority: Authority, worker_class: str) -> Signed:
    return authority.server(worker_class)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, signed: Signed, worker_class: str
) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("tls") / "home", authority, signed) as running:
        yield running


def serving(home: Path, authority: Authority, signed: Signed) -> RunningServer:
    """Two workers, as each has to find out by itself that files changed."""
    options = ("--workers", "2", "--threads", "4")
    return RunningServer(home, *options, command=STAND_IN, environ=signed.settings(), tls=authority.trusting())


def thumbprint_shown(server: RunningServer, authority: Authority) -> str:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        authority.trusting().wrap_socket(plain, server_hostname="localhost") as client,
    ):
        return hashlib.sha256(client.getpeercert(binary_form=True) or b"").hexdigest()


def thumbprint_of(signed: Signed) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(signed.certificate.read_text())).hexdigest()


def test_curl_gets_its_answer_over_tls_1_3_and_http_1_1(server: RunningServer, authority: Authority) -> None:
    said = subprocess.run(
        [
            "curl",
            "-sS",
            "--cacert",
            authority.pem,
            "-w",
            "\n%{http_version}",
            f"https://localhost:{server.port}/version",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert said.stdout == "secure-ml-api\n1.1"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_agrees_on_http_1_1_without_compression(
    server: RunningServer, authority: Authority, version: str
) -> None:
    to = ("-connect", f"127.0.0.1:{server.port}", "-CAfile", authority.pem)
    said = subprocess.run(
        [program("openssl", "openssl"), "s_client", *to, version, "-alpn", "h2,http/1.1", "-verify_return_error"],
        input=b"",
        capture_output=True,
        timeout=30,
        check=True,
    ).stdout.decode()
    assert "ALPN protocol: http/1.1" in said
    assert "Compression: NONE" in said
    assert "Verify return code: 0 (ok)" in said


def test_requests_share_a_connection_in_place_and_in_threads(server: RunningServer) -> None:
    connection = server.connection()
    for path in ("/echo", "/sleep/0", "/echo"):
        connection.request("POST", path, body=b"hello")
        assert connection.getresponse().read() in (b"hello", b"slept")
    connection.close()


def test_long_body_arrives_whole(server: RunningServer) -> None:
    body = b"0123456789" * 300_000
    assert server.request("POST", "/echo", body=body).body == body


def test_answer_that_is_read_late_arrives_whole(server: RunningServer, authority: Authority) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        authority.trusting().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(TWO_MEGABYTES * 2 + b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert server.get("/version").status == 200
        with client.makefile("rb") as answer:
            received = answer.read()
    assert received.count(b"many ") == 800_000
    assert received.endswith(b"secure-ml-api")


def test_session_is_taken_up_again_by_whichever_worker(server: RunningServer, authority: Authority) -> None:
    context = authority.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there as soon as the handshake is over
    session = None
    for _ in range(8):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as client,
        ):
            assert session is None or client.session_reused
            session = client.session


def test_end_of_the_certificate_is_a_metric_on_the_plain_metrics_port(server: RunningServer, signed: Signed) -> None:
    name = "secure_ml_api_certificate_expiry_timestamp_seconds"
    wait_until(lambda: server.metric(name, port=str(server.port)), what="the metric")
    assert server.metric(name) == signed.ends_at.timestamp()


def test_changed_certificate_is_shown_without_a_dropped_request(
    server: RunningServer, authority: Authority, signed: Signed
) -> None:
    old, done = server.connection(), threading.Event()
    old.request("GET", "/version")
    old.getresponse().read()
    statuses: Counter[int] = Counter()

    def call() -> None:
        while not done.is_set():
            statuses[server.get("/sleep/0.01").status] += 1

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    signed.replace(authority.server("next", days=200))
    expected = thumbprint_of(signed)
    wait_until(
        lambda: {thumbprint_shown(server, authority) for _ in range(10)} == {expected},
        what="the certificate everywhere",
    )
    done.set()
    for caller in callers:
        caller.join(30)
    assert set(statuses) == {200}
    old.request("GET", "/version")
    assert old.getresponse().status == 200
    old.close()


def test_broken_certificate_keeps_the_old_one_and_is_told_once_by_each_worker(
    tmp_path: Path, authority: Authority, worker_class: str
) -> None:
    signed = authority.server(f"broken-{worker_class}")
    with serving(tmp_path / "home", authority, signed) as server:

        def told() -> list[int]:
            return [line["pid"] for line in server.log_lines() if "the one before stays" in line["message"]]

        before = thumbprint_of(signed)
        signed.certificate.write_text("rubbish")
        wait_until(lambda: server.worker_pids() <= set(told()), what="a line of each worker")
        assert thumbprint_shown(server, authority) == before
        # A worker that is started now begins with the old one too.
        server.kill_worker()
        assert {thumbprint_shown(server, authority) for _ in range(5)} == {before}
        server.reload()
        assert any(line["message"].startswith("reload refused") for line in server.log_lines())
        assert thumbprint_shown(server, authority) == before
        assert len(told()) == len(set(told()))


def test_sighup_under_load_loses_no_request(server: RunningServer, authority: Authority, signed: Signed) -> None:
    statuses, done = Counter[int](), threading.Event()

    def call() -> None:
        connection = server.connection()
        while not done.is_set():
            connection.request("GET", "/sleep/0.005")
            reply = connection.getresponse()
            reply.read()
            statuses[reply.status] += 1
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    signed.replace(authority.server("after", days=300))
    server.reload()
    wait_until(lambda: thumbprint_shown(server, authority) == thumbprint_of(signed), what="the new certificate")
    done.set()
    for caller in callers:
        caller.join(30)
    assert set(statuses) == {200}


def test_every_line_of_the_log_is_one_json_object(server: RunningServer) -> None:
    assert not re.search(r"Traceback|exception", server.log_text())
    assert server.log_lines()
