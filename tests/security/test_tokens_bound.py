"""Tokens that are good with one client certificate only, stolen or used without it (RFC 8705)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.auth.claims import Expected, check_claims
from secure_ml_api.errors import SettingsError, TokenRefused
from secure_ml_api.settings import read_settings
from secure_ml_api.telemetry.client_certificates import ClientCertificate, current_client_certificate
from support.doormen import Lodge, open_lodge

MINE = ClientCertificate("CN=mine", "mine" * 10, datetime(2100, 1, 1, tzinfo=UTC))
OTHER = ClientCertificate("CN=other", "other" * 10, datetime(2100, 1, 1, tzinfo=UTC))
BINDING: dict[str, dict[str, Any]] = {
    "tokens": {"bind_to_certificates": True},
    "server": {"tls_certificate": "a.pem", "tls_client_ca": "ca.pem", "tls_client_certificates": "optional"},
}


@pytest.fixture(scope="module")
def lodge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path_factory.mktemp("home"), "", **BINDING)
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@contextmanager
def connected_with(certificate: ClientCertificate | None) -> Iterator[None]:
    """The requests of this block come over a connection with ``certificate``."""
    before = current_client_certificate.set(certificate)
    yield
    current_client_certificate.reset(before)


@pytest.fixture
def token(lodge: Lodge) -> str:
    with connected_with(MINE):
        return lodge.token()


def test_token_is_good_with_its_certificate_every_time(lodge: Lodge, token: str) -> None:
    with connected_with(MINE):
        for _ in range(3):
            assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


@pytest.mark.parametrize("certificate", [None, OTHER], ids=["none", "another"])
def test_token_is_refused_without_its_certificate_also_after_it_was_good(
    lodge: Lodge, token: str, certificate: ClientCertificate | None
) -> None:
    with connected_with(MINE):
        lodge.authenticator.authenticate(f"Bearer {token}")
    with connected_with(certificate), pytest.raises(TokenRefused) as refused:
        lodge.authenticator.authenticate(f"Bearer {token}")
    assert refused.value.cause == "certificate"


def test_token_that_was_asked_for_without_a_certificate_is_good_without_one(lodge: Lodge) -> None:
    assert lodge.authenticator.authenticate(f"Bearer {lodge.token()}").client_id == lodge.client.client_id


def test_introspection_tells_what_the_token_is_bound_to_whoever_asks(lodge: Lodge, token: str) -> None:
    answer = lodge.oauth.introspect([("token", token)], lodge.basic(), None)
    assert answer["active"] is True
    assert answer["cnf"] == {"x5t#S256": MINE.thumbprint}


def test_metadata_says_that_tokens_are_bound(lodge: Lodge) -> None:
    assert lodge.oauth.metadata("https://x")["tls_client_certificate_bound_access_tokens"] is True


def test_nothing_is_bound_unless_settings_want_it(tmp_path: Path) -> None:
    lodge = open_lodge(tmp_path)
    with connected_with(MINE):
        token = lodge.token()
    assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id
    assert "tls_client_certificate_bound_access_tokens" not in lodge.oauth.metadata("https://x")
    lodge.stores.trail.flush()
    lodge.stores.database.close()


@pytest.mark.parametrize(
    "confirmation",
    [{}, None, "text", {"jkt": "x"}, {"x5t#S256": "x", "jkt": "y"}, {"x5t#S256": 7}, {"x5t#S256": None}, []],
)
def test_confirmation_that_cannot_be_proved_here_is_refused(confirmation: Any) -> None:
    said = {"iss": "us", "aud": "api", "sub": "a", "client_id": "a", "jti": "1", "iat": 1, "exp": 9, "scope": ""}
    expected = Expected("us", "api", 0)
    assert check_claims(said, expected, 2).bound_to is None
    with pytest.raises(TokenRefused) as refused:
        check_claims({**said, "cnf": confirmation}, expected, 2)
    assert refused.value.cause == "confirmation"


def test_binding_without_client_certificates_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"bind_to_certificates.*tls_client_certificates"):
        read_settings(tmp_path, {}, tokens={"bind_to_certificates": True})
