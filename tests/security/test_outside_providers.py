"""Where the keys of an OpenID Connect provider are read from, and what answers in its place."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from secure_ml_api.access_sections import OutsideIssuer
from secure_ml_api.auth import outside
from secure_ml_api.auth.outside import OutsideIssuers
from secure_ml_api.errors import SettingsError
from secure_ml_api.setting_sections import TelemetrySettings
from secure_ml_api.telemetry.tracing import Tracing
from support.certificates import Authority
from support.outside_issuer import ISSUER, KID, document, published


@pytest.mark.parametrize("location", ["http://login.example/jwks", "ftp://x/y", "file:///etc/passwd"])
def test_only_https_urls_and_paths_are_read(location: str) -> None:
    with pytest.raises(SettingsError, match="https"):
        OutsideIssuers([OutsideIssuer(issuer=ISSUER, audience="a", jwks=location)])


def test_an_issuer_named_twice_is_refused() -> None:
    one = OutsideIssuer(issuer=ISSUER, audience="a", jwks="x")
    with pytest.raises(SettingsError, match="twice"):
        OutsideIssuers([one, one])


class Provider(BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    traceparents: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        Provider.traceparents.append(self.headers["traceparent"])
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            padding = b" " * outside.DOCUMENT_LIMIT_BYTES if self.path == "/long" else b""
            self.wfile.write(document(published()) + padding)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The base URL of a provider over TLS, its certificate trusted by this process."""
    authority = Authority(tmp_path)
    shown = authority.server()
    server = HTTPServer(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_are_read_over_https(provider: str) -> None:
    issuers = OutsideIssuers(
        [OutsideIssuer(issuer=ISSUER, audience="a", jwks=f"{provider}/keys", algorithms=("ES256",))]
    )
    issuers.refresh(issuers.issuers[ISSUER])
    assert issuers.verifying_key(ISSUER, KID) is not None


def test_a_provider_is_told_the_trace_in_which_its_keys_are_read(provider: str) -> None:
    memory = InMemorySpanExporter()
    tracing = Tracing(TelemetrySettings(tracing=True, trace_sample_ratio=1.0), lambda _: SimpleSpanProcessor(memory))
    tracing.start_worker()
    issuer = OutsideIssuer(issuer=ISSUER, audience="a", jwks=f"{provider}/keys", algorithms=("ES256",))
    OutsideIssuers([issuer]).refresh(issuer)
    OutsideIssuers([issuer], tracing.outgoing).refresh(issuer)
    (span,) = memory.get_finished_spans()
    assert span.name == "read keys"
    untold, told = Provider.traceparents[-2:]
    assert untold is None
    assert str(told).startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-0")


@pytest.mark.parametrize("path", ["redirect", "missing", "long"])
def test_answer_that_is_no_bounded_document_is_refused(provider: str, path: str) -> None:
    issuers = OutsideIssuers(
        [OutsideIssuer(issuer=ISSUER, audience="a", jwks=f"{provider}/{path}", algorithms=("ES256",))]
    )
    with pytest.raises((OSError, ValueError)):
        issuers.refresh(issuers.issuers[ISSUER])
    assert issuers.verifying_key(ISSUER, KID) is None


def test_provider_with_an_unknown_certificate_is_not_believed(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    issuers = OutsideIssuers(
        [OutsideIssuer(issuer=ISSUER, audience="a", jwks=f"{provider}/keys", algorithms=("ES256",))]
    )
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        issuers.refresh(issuers.issuers[ISSUER])
