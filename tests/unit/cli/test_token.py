"""``secure-ml-api token``: a token from a running server, and nothing else on stdout."""

from __future__ import annotations

import base64
import io
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from support.certificates import Authority
from support.console import Console
from support.needs import free_port


class TokenEndpoint(BaseHTTPRequestHandler):
    """Remembers what it was asked, and answers what it was told to."""

    asked: dict[str, Any]
    answer: tuple[int, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        type(self).asked = {
            "path": self.path,
            "credentials": base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode(),
            "form": parse_qs(body),
        }
        status, content = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[type[TokenEndpoint]]:
    TokenEndpoint.answer = (200, b'{"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 900}')
    server = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
    thread = Thread(target=server.serve_forever)
    thread.start()
    TokenEndpoint.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield TokenEndpoint
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.delenv("SECURE_ML_API_CLIENT_SECRET", raising=False)
    return Console(str(tmp_path), capsys, monkeypatch)


def url_of(endpoint: type[TokenEndpoint]) -> str:
    return str(endpoint.url)  # type: ignore[attr-defined]


def test_token_alone_is_printed(endpoint: type[TokenEndpoint], run: Console) -> None:
    ran = run(
        "token",
        "--client-id",
        "i d",
        "--client-secret",
        "s:+",
        "--url",
        url_of(endpoint),
        "--scope",
        "a",
        "--scope",
        "b",
    )
    assert (ran.status, ran.stdout, ran.stderr) == (0, "a.b.c\n", "")
    assert endpoint.asked == {
        "path": "/oauth/token",
        "credentials": "i+d:s%3A%2B",
        "form": {"grant_type": ["client_credentials"], "scope": ["a b"]},
    }


def test_json_is_the_whole_answer(endpoint: type[TokenEndpoint], run: Console) -> None:
    ran = run("token", "--client-id", "i", "--client-secret", "s", "--url", url_of(endpoint), "--json")
    assert json.loads(ran.stdout)["expires_in"] == 900


def test_address_comes_from_the_settings(endpoint: type[TokenEndpoint], run: Console, tmp_path: Path) -> None:
    port = url_of(endpoint).rpartition(":")[2]
    (tmp_path / "config.toml").write_text(f'[server]\nhost = "0.0.0.0"\nport = {port}\n')
    assert run("token", "--client-id", "i", "--client-secret", "s").stdout == "a.b.c\n"


def test_secret_may_come_from_the_environment_or_stdin(
    endpoint: type[TokenEndpoint], run: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    run("token", "--client-id", "i", "--url", url_of(endpoint))
    assert endpoint.asked["credentials"] == "i:from+stdin"
    monkeypatch.setenv("SECURE_ML_API_CLIENT_SECRET", "from-environment")
    run("token", "--client-id", "i", "--url", url_of(endpoint))
    assert endpoint.asked["credentials"] == "i:from-environment"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, b'{"error": "invalid_client", "error_description": "the secret is wrong"}'), "check --client-id"),
        ((400, b'{"error": "invalid_scope"}'), "check --scope"),
        ((429, b'{"detail": "too many"}'), "too many; try again later"),
        ((404, b"<html>"), "check --url"),
        ((200, b"<html>"), "check --url"),
        ((200, b'{"access_token": 1}'), "check --url"),
        ((500, b"[]"), "answered 500"),
    ],
)
def test_refusal_is_one_line_that_says_what_to_do(
    endpoint: type[TokenEndpoint], run: Console, answer: tuple[int, bytes], says: str
) -> None:
    endpoint.answer = answer
    ran = run("token", "--client-id", "i", "--client-secret", "hunter2", "--url", url_of(endpoint))
    assert (ran.status, ran.stdout) == (1, "")
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "hunter2" not in ran.stderr


def test_no_server_says_how_to_start_one(run: Console) -> None:
    ran = run("token", "--client-id", "i", "--client-secret", "s", "--url", f"http://127.0.0.1:{free_port()}")
    assert ran.status == 1
    assert "secure-ml-api serve" in ran.stderr


def test_certificate_that_is_not_trusted_is_told_as_such_with_how_to_trust_it(
    run: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    signed = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    TokenEndpoint.answer = (200, b'{"access_token": "a.b.c"}')
    server = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_port}"
        ran = run("token", "--client-id", "i", "--client-secret", "s", "--url", url)
        assert (ran.status, ran.stderr.count("\n")) == (1, 1)
        assert f"the certificate of {url} is not trusted" in ran.stderr
        assert "SSL_CERT_FILE" in ran.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
        assert run("token", "--client-id", "i", "--client-secret", "s", "--url", url).stdout == "a.b.c\n"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8000", "ftp://x"])
def test_only_http_urls_are_asked(run: Console, url: str) -> None:
    ran = run("token", "--client-id", "i", "--client-secret", "s", "--url", url)
    assert ran.status == 1
    assert "--url" in ran.stderr


def test_client_id_is_required(run: Console) -> None:
    assert run("token").status == 2
