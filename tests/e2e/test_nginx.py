"""The shipped nginx configuration, as it is, in front of a real server; slow clients are a row of the fault table."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import copied
from support.certificates import Authority
from support.nginx_server import SHIPPED, NginxServer
from support.server import Reply, RunningServer, reply_of, wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = copied(prepared_home, tmp_path_factory.mktemp("nginx"))
    environ = {"SECURE_ML_API_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    with RunningServer(home, "--workers", "1", environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(
    server: RunningServer, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NginxServer]:
    directory = tmp_path_factory.mktemp("nginx") / "nginx"
    with NginxServer(directory, authority.server(), server.port) as running:
        yield running


class Client:
    """Speaks to nginx as its clients do."""

    def __init__(self, nginx: NginxServer, authority: Authority) -> None:
        self._port = nginx.port
        self.tls = authority.trusting()

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        connection = http.client.HTTPSConnection("localhost", self._port, timeout=20, context=self.tls)
        try:
            connection.request(method, path, **options)
            return reply_of(connection.getresponse())
        finally:
            connection.close()

    def raw(self, sent: bytes) -> bytes:
        with (
            socket.create_connection(("localhost", self._port), timeout=20) as plain,
            self.tls.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(sent)
            with client.makefile("rb") as answer:
                return answer.read()


@pytest.fixture
def client(nginx: NginxServer, authority: Authority) -> Client:
    return Client(nginx, authority)


def assert_is_problem(reply: Reply, status: int, *, under_v2: bool = False) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == ("application/json" if under_v2 else "application/problem+json")
    fields = reply.json()
    assert fields["status"] == status
    assert fields["request_id"] == reply.headers["x-request-id"]
    assert fields.get("error") == (fields["detail"] if under_v2 else None)
    assert not re.search(rb"nginx|html", reply.body)


def test_configuration_is_taken_without_a_warning(nginx: NginxServer) -> None:
    assert "warn" not in nginx.check()


def test_every_status_that_nginx_may_answer_by_itself_has_a_title() -> None:
    text = SHIPPED.read_text()
    titles = re.search(r"map \$status \$its_title \{(.*?)\}", text, re.DOTALL)
    assert titles is not None
    named = set(re.findall(r"^\s+(\d{3}) ", titles[1], re.MULTILINE))
    answered = re.findall(r"error_page ([\d ]+?)(?: =(\d+))? /problem;", text)
    assert {status for several, instead in answered for status in ([instead] if instead else several.split())} == named


def test_answers_of_the_server_pass_as_they_are(client: Client) -> None:
    reply = client.ask("GET", "/v2/health/ready")
    assert reply.status == 200
    assert reply.headers["strict-transport-security"] == "max-age=31536000"
    refused = client.ask("POST", "/v1/models/iris/predict", body=b"{}")
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_path_reaches_the_server_as_it_was_sent(client: Client, server: RunningServer) -> None:
    for path in ("/v1//models", "/v1/models/%2e%2e/x", "/problem"):
        direct, behind = server.get(path), client.ask("GET", path)
        assert direct.status == behind.status == 404 or direct.status == behind.status == 401


def test_what_a_client_says_of_itself_is_not_believed(client: Client, server: RunningServer) -> None:
    claims = {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.66", "X-Request-Id": "claims-1"}
    assert client.ask("GET", "/v2", headers=claims).status == 200

    def lines() -> list[dict[str, Any]]:
        return [line for line in server.log_lines() if line.get("request_id") == "claims-1"]

    wait_until(lines, what="the line of the request")
    assert [line["address"] for line in lines()] == ["127.0.0.1"]


def test_both_logs_know_a_request_by_the_same_id(client: Client, nginx: NginxServer, server: RunningServer) -> None:
    request_id = client.ask("GET", "/v2", headers={"X-Request-Id": 'no "id" at all'}).headers["x-request-id"]
    wait_until(lambda: request_id in nginx.log_text() and request_id in server.log_text(), what="the id in both logs")


def test_body_over_the_limit_is_refused_as_a_problem(client: Client) -> None:
    headers = {"Content-Length": str(17 * 1024 * 1024)}
    assert_is_problem(client.ask("POST", "/v1/models/iris/predict", headers=headers), 413)
    assert_is_problem(client.ask("POST", "/v2/models/iris/infer", headers=headers), 413, under_v2=True)


def test_header_block_over_the_limit_is_refused_as_a_problem(client: Client) -> None:
    assert_is_problem(client.ask("GET", "/v2", headers={"X-Long": "a" * 10_000}), 431, under_v2=True)


def test_method_that_nginx_refuses_is_a_problem(client: Client) -> None:
    assert_is_problem(client.ask("TRACE", "/v1/models"), 405)


@pytest.mark.parametrize(
    "sent", [b"GET /v1 HTTP/1.1\r\n\r\n", b"GET /../canary HTTP/1.1\r\nHost: a\r\n\r\n", b"CANARY\r\n\r\n"]
)
def test_what_is_not_http_is_told_in_a_problem_that_quotes_nothing(client: Client, sent: bytes) -> None:
    head, _, body = client.raw(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400
    assert b"canary" not in (head + body).lower()


def test_plain_http_is_told_in_a_problem(nginx: NginxServer) -> None:
    connection = http.client.HTTPConnection("localhost", nginx.port, timeout=20)
    connection.request("GET", "/v1/models")
    assert_is_problem(reply_of(connection.getresponse()), 400)
    connection.close()


def test_no_answer_names_a_version(client: Client) -> None:
    for reply in (client.ask("GET", "/v2"), client.ask("TRACE", "/")):
        assert reply.headers.get("server", "nginx") == "nginx"


def test_tls_before_1_2_is_refused(client: Client) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.tls.minimum_version = client.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    client.tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        client.ask("GET", "/v2")


def test_suite_without_forward_secrecy_or_authentication_is_refused(client: Client) -> None:
    client.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    client.tls.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        client.ask("GET", "/v2")


def test_server_that_is_away_is_a_problem_that_says_when_to_come_back(authority: Authority, tmp_path: Path) -> None:
    with ExitStack() as stack:
        away = stack.enter_context(socket.socket())
        away.bind(("127.0.0.1", 0))  # listens to nobody
        nginx = stack.enter_context(NginxServer(tmp_path / "nginx", authority.server("away"), away.getsockname()[1]))
        reply = Client(nginx, authority).ask("POST", "/v2/models/iris/infer", body=b"{}")
        assert_is_problem(reply, 502, under_v2=True)
        assert reply.headers["retry-after"] == "1"


def test_every_line_of_nginx_s_access_log_is_one_json_object(client: Client, nginx: NginxServer) -> None:
    client.ask("GET", "/v2?token=canary", headers={"X-Request-Id": "line-1"})
    wait_until(lambda: "line-1" in nginx.log_text(), what="the line of the request")
    lines = [json.loads(line) for line in nginx.log_text().splitlines()]
    [line] = [line for line in lines if line["request_id"] == "line-1"]
    assert (line["path"], line["status"], line["method"]) == ("/v2", 200, "GET")
    assert "canary" not in nginx.log_text()
