"""A TLS connection that behaves like a non-blocking socket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.server import tls_socket
from secure_ml_api.server.tls import TlsFiles, secured
from secure_ml_api.server.tls_socket import HandshakeFailed, TlsSocket
from secure_ml_api.telemetry.client_certificates import ClientCertificate
from support.certificates import Authority


class Pair:
    """Both ends of a connection, neither of which ever waits."""

    def __init__(self, context: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        made = context.wrap_socket(right, server_side=True, do_handshake_on_connect=False)
        assert isinstance(made, TlsSocket)
        self.server = made
        self.met: list[ClientCertificate | None] = []
        self.server.when_established(self.met.append)
        self.client = client.wrap_socket(
            left,
            server_hostname="localhost",
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )

    def shake_hands(self) -> None:
        """Let both ends go on until neither has anything to do."""
        for _ in range(4):
            for step in (self.client.do_handshake, lambda: self.server.recv(100)):
                advance(step)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def advance(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except (BlockingIOError, ssl.SSLWantReadError):
        return None


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def pairs(authority: Authority) -> Iterator[Callable[..., Pair]]:
    """Makes pairs whose server asks clients for certificates as it is told to."""
    made: list[Pair] = []
    contexts: dict[str, ssl.SSLContext] = {}
    signed = authority.server()

    def make(asks: str = "none", *, shows: ssl.SSLContext | None = None, session: Any = None) -> Pair:
        if asks not in contexts:
            ca = None if asks == "none" else authority.pem
            contexts[asks] = secured(TlsFiles(signed.certificate, signed.key, ca, asks)).context
            contexts[asks].sslsocket_class = TlsSocket
        made.append(Pair(contexts[asks], shows or authority.trusting(), session))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


def test_nothing_has_come_until_the_handshake_and_a_record_are_whole(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    with pytest.raises(BlockingIOError):
        pair.server.recv(100)
    pair.shake_hands()
    with pytest.raises(BlockingIOError):
        pair.server.recv(100)
    pair.client.send(b"hello")
    assert pair.server.recv(100) == b"hello"
    assert pair.met == [None]


def test_what_comes_with_the_end_of_the_handshake_is_read_at_once(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    advance(pair.client.do_handshake)
    advance(lambda: pair.server.recv(100))
    pair.client.do_handshake()
    pair.client.send(b"hello")
    assert pair.server.recv(100) == b"hello"


def test_client_that_takes_nothing_is_as_a_full_socket(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    pair.shake_hands()
    data, received, sent = b"0123456789" * 1_000_000, bytearray(), None
    with pytest.raises(BlockingIOError):
        pair.server.send(data)
    while sent is None or len(received) < len(data):
        sent = sent or advance(lambda: pair.server.send(data))
        received += advance(lambda: pair.client.recv(1 << 20)) or b""
    assert (sent, bytes(received)) == (len(data), data)


def test_plain_http_is_a_failed_handshake(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    plain = socket.socket(fileno=pair.client.detach())
    plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(HandshakeFailed, match="HTTP_REQUEST"):
        pair.server.recv(100)
    assert pair.server.failure == "HTTP_REQUEST"
    plain.close()


def test_client_that_leaves_amid_the_handshake_is_gone_and_has_not_failed(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    advance(pair.client.do_handshake)
    advance(lambda: pair.server.recv(100))
    pair.client.close()
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        pair.server.recv(100)
    assert not pair.server.failure


def test_end_is_told_in_tls_before_the_socket_is_shut(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    pair.shake_hands()
    pair.server.shutdown(socket.SHUT_WR)
    assert pair.client.recv(100) == b""


def test_verified_client_certificate_is_told_with_its_subject_and_thumbprint(
    pairs: Callable[..., Pair], authority: Authority
) -> None:
    signed = authority.client("batch, job")
    pair = pairs("required", shows=authority.trusting(signed))
    pair.shake_hands()
    [certificate] = pair.met
    assert certificate is not None
    assert certificate.subject == signed.subject == r"CN=batch\, job"
    der = ssl.PEM_cert_to_DER_cert(signed.certificate.read_text())
    assert certificate == ClientCertificate.of(der)


def test_client_without_a_certificate_is_served_where_it_is_optional(pairs: Callable[..., Pair]) -> None:
    pair = pairs("optional")
    pair.shake_hands()
    assert pair.met == [None]


def test_session_does_not_outlive_the_certificate_that_it_began_with(
    pairs: Callable[..., Pair], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = authority.trusting(authority.client("short", days=1))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    first = pairs("required", shows=client)
    first.shake_hands()
    again = pairs("required", shows=client, session=first.client.session)
    again.shake_hands()
    assert again.client.session_reused

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(days=2)

    monkeypatch.setattr(tls_socket, "datetime", Later)
    late = pairs("required", shows=client, session=first.client.session)
    with pytest.raises(HandshakeFailed, match="expired"):
        late.shake_hands()
