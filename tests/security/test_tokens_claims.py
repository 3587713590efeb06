"""Attacks on what a validly signed token says, and leaves out (RFC 9068 section 4, RFC 8725 sections 3.8 to 3.12)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge, open_lodge
from support.forging import encoded, good_claims, good_header, server_key, signature, signed

REQUIRED = ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"]


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause


def with_claims(lodge: Lodge, **changed: Any) -> str:
    """A token signed by the server's own key, good but for ``changed``."""
    return signed(good_header(lodge), good_claims(lodge) | changed, server_key(lodge))


@pytest.mark.parametrize("name", REQUIRED)
def test_token_without_a_required_claim_is_refused(lodge: Lodge, name: str) -> None:
    claims = good_claims(lodge)
    del claims[name]
    assert refused(lodge, signed(good_header(lodge), claims, server_key(lodge)))


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", [], {}, True, -1, "\x00", "x" * 600])
def test_claim_of_another_type_is_refused(lodge: Lodge, name: str, value: object) -> None:
    assert refused(lodge, with_claims(lodge, **{name: value}))


@pytest.mark.parametrize("issuer", ["https://secure-ml-api.local/", "HTTPS://secure-ml-api.local", "evil", " "])
def test_token_of_another_issuer_is_refused(lodge: Lodge, issuer: str) -> None:
    assert refused(lodge, with_claims(lodge, iss=issuer)) == "issuer"


@pytest.mark.parametrize(
    "audience", ["other", "secure-ml-api ", "SECURE-ML-API", ["secure-ml-api"], ["a", "secure-ml-api"]]
)
def test_token_for_another_audience_is_refused(lodge: Lodge, audience: object) -> None:
    assert refused(lodge, with_claims(lodge, aud=audience)) in {"audience", "claims"}


def test_expired_token_is_refused(lodge: Lodge) -> None:
    now = int(time.time())
    assert refused(lodge, with_claims(lodge, iat=now - 1000, exp=now - 100)) == "expired"


def test_leeway_forgives_a_clock_that_is_a_little_off(lodge: Lodge) -> None:
    now = int(time.time())
    token = with_claims(lodge, iat=now + 5, exp=now + 900)
    assert lodge.authenticator.authenticate(f"Bearer {token}").expires_at == now + 900


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_token_from_the_future_is_refused(lodge: Lodge, name: str) -> None:
    assert refused(lodge, with_claims(lodge, **{name: int(time.time()) + 3600})) == "not_yet_valid"


@pytest.mark.parametrize("value", ["soon", "9999999999", None, [], 1e400, True])
def test_time_that_is_no_number_is_refused(lodge: Lodge, value: object) -> None:
    for name in ("exp", "iat", "nbf"):
        assert refused(lodge, with_claims(lodge, **{name: value}))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "AT+JWT", "id+jwt", "logout+jwt", "at+jwt ", "", None, 1, ["at+jwt"]])
def test_token_of_another_type_is_refused(lodge: Lodge, kind: object) -> None:
    token = signed(good_header(lodge) | {"typ": kind}, good_claims(lodge), server_key(lodge))
    assert refused(lodge, token) == "type"


def test_token_without_a_type_is_refused(lodge: Lodge) -> None:
    header = good_header(lodge)
    del header["typ"]
    assert refused(lodge, signed(header, good_claims(lodge), server_key(lodge))) == "type"


def test_both_spellings_of_the_access_token_type_are_accepted(lodge: Lodge) -> None:
    for kind in ("at+jwt", "application/at+jwt"):
        token = signed(good_header(lodge) | {"typ": kind}, good_claims(lodge), server_key(lodge))
        assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


@pytest.mark.parametrize("kind", ["refresh", "id", None, 1])
def test_refresh_token_is_no_access_token(lodge: Lodge, kind: object) -> None:
    assert refused(lodge, with_claims(lodge, type=kind)) == "type"


def test_unknown_client_is_refused(lodge: Lodge) -> None:
    assert refused(lodge, with_claims(lodge, client_id="f" * 32, sub="f" * 32)) == "client"


def test_token_never_reaches_further_than_its_client(lodge: Lodge) -> None:
    token = with_claims(lodge, scope="models:admin predict:* models:read nonsense")
    assert lodge.authenticator.authenticate(f"Bearer {token}").scopes == {"predict:iris", "models:read"}


def test_token_without_a_scope_reaches_nothing(lodge: Lodge) -> None:
    claims = good_claims(lodge)
    del claims["scope"]
    token = signed(good_header(lodge), claims, server_key(lodge))
    assert lodge.authenticator.authenticate(f"Bearer {token}").scopes == frozenset()


def test_duplicate_claim_is_refused(lodge: Lodge) -> None:
    body = '{"sub":"attacker",' + encoded_json(good_claims(lodge))[1:]
    text = f"{encoded(good_header(lodge))}.{encoded(body)}"
    assert refused(lodge, f"{text}.{encoded(signature(text.encode(), server_key(lodge)))}") == "malformed"


def test_outside_issuer_cannot_take_our_name(tmp_path: Path) -> None:
    lodge = open_lodge(
        tmp_path,
        tokens={
            "outside_issuers": [
                {"issuer": "https://secure-ml-api.local", "audience": "x", "jwks": str(tmp_path / "none")}
            ]
        },
    )
    assert lodge.authenticator.authenticate(f"Bearer {lodge.token()}").client_id == lodge.client.client_id
    lodge.stores.trail.flush()


def encoded_json(claims: dict[str, Any]) -> str:
    """The claims as their JSON text."""
    import json

    return json.dumps(claims)
