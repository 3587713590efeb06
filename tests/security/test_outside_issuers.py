"""Tokens of an OpenID Connect provider, and what pretends to be one."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Iterator
from http.client import BadStatusLine
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from secure_ml_api.access_sections import OutsideIssuer
from secure_ml_api.auth import key_material, outside
from secure_ml_api.auth.outside import OutsideIssuers, read_key_set
from secure_ml_api.errors import SettingsError, TokenRefused
from secure_ml_api.setting_sections import TelemetrySettings
from secure_ml_api.telemetry.tracing import Tracing
from support.doormen import Lodge, open_lodge
from support.forging import signed

ISSUER = "https://login.example/"
KID = "their-key"
THEIRS = key_material.generate("ES256")


def published(key: key_material.PrivateKey = THEIRS, **members: Any) -> dict[str, Any]:
    """The public JWK of ``key`` with ``members`` changed or, when None, left out."""
    jwk = key_material.public_jwk(key) | {"kid": KID, "use": "sig", "alg": "ES256"} | members
    return {name: value for name, value in jwk.items() if value is not None}


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(published()))
    return path


@pytest.fixture
def lodge(tmp_path: Path, key_file: Path) -> Iterator[Lodge]:
    issuer = {
        "issuer": ISSUER,
        "audience": "our-api",
        "jwks": str(key_file),
        "algorithms": ["ES256"],
        "requests": "7/second",
    }
    opened = open_lodge(tmp_path / "home", tokens={"outside_issuers": [issuer]})
    yield opened
    opened.authenticator._outside.stop()
    opened.stores.trail.flush()
    opened.stores.database.close()


def read_keys(lodge: Lodge) -> None:
    """What the background thread does, awaited."""
    lodge.authenticator._outside.refresh(lodge.settings.tokens.outside_issuers[0])


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": ["account", "our-api"],
        "sub": "user-1",
        "client_id": "their-app",
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
        "scope": "openid predict:iris models:admin nonsense",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def token(key: key_material.PrivateKey = THEIRS, header: dict[str, Any] | None = None, **changed: Any) -> str:
    return signed({"alg": "ES256", "kid": KID, "typ": "at+jwt"} | (header or {}), claims(**changed), key)


def refused(lodge: Lodge, text: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {text}")
    return caught.value.cause


def test_their_token_gives_a_principal_with_the_quotas_of_the_issuer(lodge: Lodge) -> None:
    read_keys(lodge)
    principal = lodge.authenticator.authenticate(f"Bearer {token()}")
    assert principal.client_id == "https://login.example/|user-1"
    assert principal.scopes == {"predict:iris", "models:admin"}
    assert (principal.requests, principal.concurrency) == ("7/second", 64)


def test_their_token_is_refused_until_their_keys_were_read(lodge: Lodge) -> None:
    assert refused(lodge, token()) == "unknown_key"


def test_background_thread_reads_the_keys_of_a_file(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, read = lodge.authenticator._outside, Event()
    refresh = reader.refresh

    def refresh_and_tell(issuer: OutsideIssuer) -> None:
        refresh(issuer)
        read.set()

    monkeypatch.setattr(reader, "refresh", refresh_and_tell)
    lodge.authenticator.refresh()
    assert read.wait(30)
    assert lodge.authenticator.authenticate(f"Bearer {token()}").client_id.endswith("|user-1")


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"iss": "https://login.example"}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other", 1, "our-api"]}, "audience"),
        ({"aud": "secure-ml-api"}, "audience"),
        ({"exp": 1}, "expired"),
        ({"jti": None}, "claim_jti"),
        ({"sub": None}, "claim_sub"),
        ({"client_id": None}, "claim_client_id"),
        ({"scope": 1}, "claim_scope"),
    ],
)
def test_their_claims_are_checked_as_ours_are(lodge: Lodge, changed: dict[str, Any], cause: str) -> None:
    read_keys(lodge)
    assert refused(lodge, token(**changed)) in {cause, "claims", "malformed"}


def test_their_id_token_is_no_access_token(lodge: Lodge) -> None:
    read_keys(lodge)
    assert refused(lodge, token(header={"typ": "JWT"})) == "type"


def test_their_key_signs_no_token_of_ours(lodge: Lodge) -> None:
    read_keys(lodge)
    own, me = lodge.settings.tokens, lodge.client.client_id
    assert refused(lodge, token(iss=own.issuer, aud=own.audience, client_id=me, sub=me)) == "unknown_key"


def test_our_key_signs_no_token_of_theirs(lodge: Lodge) -> None:
    read_keys(lodge)
    active = lodge.stores.ring.signing_key()
    assert refused(lodge, token(header={"kid": active.kid, "alg": active.alg})) == "unknown_key"


def test_their_subject_is_never_a_client_of_ours(lodge: Lodge) -> None:
    read_keys(lodge)
    principal = lodge.authenticator.authenticate(f"Bearer {token(sub=lodge.client.client_id)}")
    assert principal.client_id == f"{ISSUER}|{lodge.client.client_id}"


def test_no_client_revokes_or_introspects_their_tokens(lodge: Lodge) -> None:
    read_keys(lodge)
    impostor = token(client_id=lodge.client.client_id, sub=lodge.client.client_id)
    assert lodge.oauth.introspect([("token", impostor)], lodge.basic(), None) == {"active": False}


def test_scopes_may_come_as_a_list(tmp_path: Path, key_file: Path) -> None:
    issuer = {
        "issuer": ISSUER,
        "audience": "our-api",
        "jwks": str(key_file),
        "algorithms": ["ES256"],
        "scope_claim": "scp",
    }
    lodge = open_lodge(tmp_path / "other", tokens={"outside_issuers": [issuer]})
    read_keys(lodge)
    principal = lodge.authenticator.authenticate(f"Bearer {token(scp=['predict:iris', 'x'], scope=None)}")
    assert principal.scopes == {"predict:iris"}


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": ""},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "ES384"},
        {"alg": "RS256"},
        {"alg": "none"},
        {"kid": None},
        {"kid": 1},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"d": "AAAA"},
        {"x": "AAAA"},
        {"x": None},
    ],
)
def test_key_that_is_not_for_verifying_is_never_used(members: dict[str, Any]) -> None:
    other = published(key_material.generate("ES256"), kid="good")
    assert set(read_key_set(document(published(**members), other), ["ES256"])) == {"good"}


def test_key_for_verifying_says_so_or_says_nothing() -> None:
    for members in ({"key_ops": ["verify"]}, {"use": None, "alg": None}, {"key_ops": ["sign", "verify"]}):
        assert set(read_key_set(document(published(**members)), ["ES256"])) == {KID}


def test_short_rsa_key_is_never_used() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(document(published(weak, alg="RS256")), ["RS256"])


def test_symmetric_key_in_a_key_set_is_never_used() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": KID, "alg": "HS256"}
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(document(secret), ["EdDSA", "ES256", "RS256"])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1]}', b"\xff"]
)
def test_document_that_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_key_set(content, ["ES256"])


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        read_key_set(document(published(), published(key_material.generate("ES256"))), ["ES256"])


def test_last_good_keys_are_kept_when_reading_fails(lodge: Lodge, key_file: Path) -> None:
    read_keys(lodge)
    for content in (b"{", document(), b" " * (outside.DOCUMENT_LIMIT_BYTES + 1)):
        key_file.write_bytes(content)
        with pytest.raises(ValueError):
            read_keys(lodge)
    key_file.unlink()
    with pytest.raises(OSError):
        read_keys(lodge)
    assert lodge.authenticator.authenticate(f"Bearer {token()}").token_id


def test_reading_goes_on_whatever_an_issuer_answers(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = OutsideIssuer(
        issuer=ISSUER, audience="our-api", jwks=str(key_file), algorithms=("ES256",), refresh_seconds=0.01
    )
    issuers = OutsideIssuers([issuer])
    troubles = iter([BadStatusLine("no HTTP"), MemoryError(), OSError()])
    read, refresh = Event(), issuers.refresh

    def refresh_after_trouble(issuer: OutsideIssuer) -> None:
        for trouble in troubles:
            raise trouble
        refresh(issuer)
        read.set()

    monkeypatch.setattr(issuers, "refresh", refresh_after_trouble)
    issuers.start()
    assert read.wait(20)
    issuers.stop()
    assert issuers.verifying_key(ISSUER, KID) is not None


def test_withdrawn_key_is_refused_after_the_next_reading(lodge: Lodge, key_file: Path) -> None:
    read_keys(lodge)
    key_file.write_bytes(document(published(key_material.generate("ES256"), kid="new")))
    read_keys(lodge)
    assert refused(lodge, token()) == "unknown_key"


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
    certificate, key = _self_signed(tmp_path)
    server = HTTPServer(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
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


def _self_signed(directory: Path) -> tuple[Path, Path]:
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / "key.pem").write_bytes(key_material.to_pem(key))
    return directory / "certificate.pem", directory / "key.pem"
