"""Tokens of an OpenID Connect provider, and what pretends to be one: judged by the keys that were last read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from http.client import BadStatusLine
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from secure_ml_api.access_sections import OutsideIssuer
from secure_ml_api.auth import key_material, outside
from secure_ml_api.auth.outside import OutsideIssuers
from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge, open_lodge
from support.forging import signed
from support.outside_issuer import ISSUER, KID, THEIRS, document, published


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
