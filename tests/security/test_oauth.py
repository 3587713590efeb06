"""The token endpoints under attack and misuse (RFC 6749, 7009, 7662; RFC 9700)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from sqlalchemy import select

from secure_ml_api.auth.oauth_error import OAuthError
from secure_ml_api.database.tables import audit
from secure_ml_api.errors import Overloaded
from support.doormen import Lodge, basic, open_lodge

GRANT = [("grant_type", "client_credentials")]


@pytest.fixture
def lodge(tmp_path: Path) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path)
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


def refusal(lodge: Lodge, form: list[tuple[str, str]], authorization: str | None) -> str:
    """The code with which a token request is refused."""
    with pytest.raises(OAuthError) as caught:
        lodge.oauth.issue(form, authorization, "192.0.2.1")
    return caught.value.code


def test_answer_is_a_bearer_token_and_never_a_refresh_token(lodge: Lodge) -> None:
    answer = lodge.oauth.issue(GRANT, lodge.basic(), "192.0.2.1")
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
    assert answer["scope"] == "models:read predict:iris"


def test_token_follows_rfc_9068(lodge: Lodge) -> None:
    token = lodge.token()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims["iss"] == "https://secure-ml-api.local"
    assert claims["aud"] == "secure-ml-api"
    assert claims["sub"] == claims["client_id"] == lodge.client.client_id
    assert claims["exp"] - claims["iat"] == 900
    assert claims["scope"] == "models:read predict:iris"
    assert len(claims["jti"]) == 36


def test_every_token_has_its_own_id(lodge: Lodge) -> None:
    ids = {jwt.decode(lodge.token(), options={"verify_signature": False})["jti"] for _ in range(3)}
    assert len(ids) == 3


def test_credentials_may_come_in_the_form(lodge: Lodge) -> None:
    form = [*GRANT, ("client_id", lodge.client.client_id), ("client_secret", lodge.secret)]
    assert lodge.oauth.issue(form, None, None)["token_type"] == "Bearer"


def test_credentials_in_basic_are_form_encoded(lodge: Lodge) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in lodge.secret.encode())
    assert lodge.oauth.issue(GRANT, basic(lodge.client.client_id, encoded), None)["token_type"] == "Bearer"


def test_credentials_in_two_places_are_refused(lodge: Lodge) -> None:
    form = [*GRANT, ("client_id", lodge.client.client_id), ("client_secret", lodge.secret)]
    assert refusal(lodge, form, lodge.basic()) == "invalid_request"


def test_client_that_names_another_is_refused(lodge: Lodge) -> None:
    assert refusal(lodge, [*GRANT, ("client_id", "f" * 32)], lodge.basic()) == "invalid_request"


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !",
        "Basic bm9jb2xvbg==",
        "Basic /w==",
        "Bearer x",
        "Digest x",
        "Basic eDp5, Basic eDp5",
        "Basic Og==",
    ],
)
def test_malformed_credentials_are_an_invalid_client(lodge: Lodge, authorization: str) -> None:
    assert refusal(lodge, GRANT, authorization) == "invalid_client"


def test_request_without_credentials_is_an_invalid_client(lodge: Lodge) -> None:
    for form in (GRANT, [*GRANT, ("client_id", lodge.client.client_id)], [*GRANT, ("client_secret", lodge.secret)]):
        assert refusal(lodge, form, None) == "invalid_client"


def test_unknown_client_and_wrong_secret_are_told_apart_by_nothing(lodge: Lodge) -> None:
    lodge.stores.clients.create("other", ["models:read"])
    lodge.stores.clients.disable("other")
    disabled = lodge.stores.clients.show("other").client_id
    texts = set()
    for client_id in (lodge.client.client_id, "f" * 32, "' OR 1=1 --", disabled):
        with pytest.raises(OAuthError) as caught:
            lodge.oauth.issue(GRANT, basic(client_id, "wrong"), None)
        texts.add((caught.value.code, caught.value.description))
    assert len(texts) == 1


def test_unknown_client_costs_one_hash_as_a_known_one_does(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []

    class Counting:
        def verify(self, stored: str, _secret: str) -> bool:
            verified.append(stored.rpartition("$")[0].rpartition("$")[0])
            return True

    monkeypatch.setattr(lodge.stores.clients._hasher, "_hasher", Counting())
    for client_id in (lodge.client.client_id, "f" * 32, "not an id", ""):
        lodge.stores.clients.recognise(client_id, "x" * 43)
    assert verified == ["$argon2id$v=19$m=47104,t=1,p=1"] * 4


def test_hash_of_nobody_lets_nobody_in(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> None:
    class Agreeable:
        def verify(self, _stored: str, _secret: str) -> bool:
            return True

    monkeypatch.setattr(lodge.stores.clients._hasher, "_hasher", Agreeable())
    assert lodge.stores.clients.recognise("f" * 32, "x") is None


def test_flood_of_logins_is_refused_instead_of_queueing_without_end(lodge: Lodge) -> None:
    hasher = lodge.stores.clients._hasher
    hasher._wait_seconds = 0.01
    for _ in range(lodge.settings.tokens.hashing_concurrency):
        hasher._slots.acquire()
    with pytest.raises(Overloaded):
        lodge.token()
    for _ in range(lodge.settings.tokens.hashing_concurrency):
        hasher._slots.release()
    assert lodge.token()


@pytest.mark.parametrize("grant", ["password", "refresh_token", "authorization_code", "implicit", "CLIENT_CREDENTIALS"])
def test_no_other_grant_is_spoken(lodge: Lodge, grant: str) -> None:
    form = [("grant_type", grant), ("username", "a"), ("password", "b")]
    assert refusal(lodge, form, lodge.basic()) == "unsupported_grant_type"


def test_missing_grant_is_an_invalid_request(lodge: Lodge) -> None:
    assert refusal(lodge, [], lodge.basic()) == "invalid_request"
    assert refusal(lodge, [("grant_type", "")], lodge.basic()) == "invalid_request"


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "x"])
def test_parameter_that_comes_twice_is_refused(lodge: Lodge, name: str) -> None:
    assert refusal(lodge, [*GRANT, (name, "a"), (name, "a")], lodge.basic()) == "invalid_request"


def test_token_can_be_narrowed(lodge: Lodge) -> None:
    token = lodge.token("models:read")
    assert lodge.authenticator.authenticate(f"Bearer {token}").scopes == {"models:read"}


def test_wildcard_can_be_narrowed_to_one_model(lodge: Lodge) -> None:
    lodge.stores.clients.set_scopes("reader", ["predict:*"])
    answer = lodge.oauth.issue([*GRANT, ("scope", "predict:iris")], lodge.basic(), None)
    assert answer["scope"] == "predict:iris"


@pytest.mark.parametrize(
    "scope", ["models:admin", "predict:*", "predict:other", "models:read models:admin", " ", "nonsense"]
)
def test_token_cannot_be_widened(lodge: Lodge, scope: str) -> None:
    assert refusal(lodge, [*GRANT, ("scope", scope)], lodge.basic()) == "invalid_scope"


def test_rotated_secret_and_disabled_client_get_no_token(lodge: Lodge) -> None:
    lodge.stores.clients.rotate_secret("reader")
    assert refusal(lodge, GRANT, lodge.basic()) == "invalid_client"


def test_revoked_token_opens_nothing_and_revoking_again_changes_nothing(lodge: Lodge) -> None:
    token = lodge.token()
    for _ in range(2):
        lodge.oauth.revoke([("token", token), ("token_type_hint", "refresh_token")], lodge.basic(), None)
    assert lodge.oauth.introspect([("token", token)], lodge.basic(), None) == {"active": False}


@pytest.mark.parametrize("token", ["x", "a.b.c", "\x00", "é", "x" * 10_000])
def test_revoking_what_is_no_token_is_no_error(lodge: Lodge, token: str) -> None:
    lodge.oauth.revoke([("token", token)], lodge.basic(), None)


def test_revoking_and_introspecting_need_the_client_and_a_token(lodge: Lodge) -> None:
    for call in (lodge.oauth.revoke, lodge.oauth.introspect):
        with pytest.raises(OAuthError, match="invalid_client"):
            call([("token", lodge.token())], None, None)
        with pytest.raises(OAuthError, match="invalid_client"):
            call([("token", lodge.token())], basic(lodge.client.client_id, "wrong"), None)
        with pytest.raises(OAuthError, match="invalid_request"):
            call([], lodge.basic(), None)


def test_client_cannot_revoke_a_token_of_another(lodge: Lodge) -> None:
    other, secret = lodge.stores.clients.create("other", ["models:read"])
    token = lodge.token()
    with pytest.raises(OAuthError, match="invalid_grant"):
        lodge.oauth.revoke([("token", token)], basic(other.client_id, secret), None)
    assert lodge.authenticator.authenticate(f"Bearer {token}").token_id


def test_client_learns_nothing_of_a_token_of_another(lodge: Lodge) -> None:
    other, secret = lodge.stores.clients.create("other", ["models:read"])
    assert lodge.oauth.introspect([("token", lodge.token())], basic(other.client_id, secret), None) == {"active": False}


def test_clients_admin_may_introspect_every_token(lodge: Lodge) -> None:
    admin, secret = lodge.stores.clients.create("admin", ["clients:admin"])
    answer = lodge.oauth.introspect([("token", lodge.token())], basic(admin.client_id, secret), None)
    assert answer["active"] is True
    assert answer["client_id"] == lodge.client.client_id


def test_introspection_tells_the_scopes_that_hold_now(lodge: Lodge) -> None:
    token = lodge.token()
    lodge.stores.clients.set_scopes("reader", ["models:read"])
    answer = lodge.oauth.introspect([("token", token)], lodge.basic(), None)
    assert answer["scope"] == "models:read"
    assert set(answer) == {"active", "scope", "client_id", "token_type", "exp", "iat", "sub", "aud", "iss", "jti"}


@pytest.mark.parametrize("token", ["x", "a.b.c", "\x00", "é", "x" * 10_000])
def test_introspecting_what_is_no_token_is_exactly_inactive(lodge: Lodge, token: str) -> None:
    assert lodge.oauth.introspect([("token", token)], lodge.basic(), None) == {"active": False}


def test_metadata_names_what_is_spoken_and_nothing_else(lodge: Lodge) -> None:
    document = lodge.oauth.metadata("https://ml.example/")
    assert document["issuer"] == "https://secure-ml-api.local"
    assert document["token_endpoint"] == "https://ml.example/oauth/token"
    assert document["jwks_uri"] == "https://ml.example/.well-known/jwks.json"
    assert document["grant_types_supported"] == ["client_credentials"]
    assert document["response_types_supported"] == []


def test_audit_trail_tells_who_did_what_and_holds_no_secret(lodge: Lodge) -> None:
    token = lodge.token()
    lodge.oauth.revoke([("token", token)], lodge.basic(), "192.0.2.1", "request-1")
    refusal(lodge, GRANT, basic(lodge.client.client_id, "hunter2-wrong"))
    refusal(lodge, GRANT, basic("hunter2-in-the-wrong-field", "x"))
    assert lodge.stores.trail.flush()
    with lodge.stores.database.session() as connection:
        lines = connection.execute(select(audit).order_by(audit.c.id)).all()
    told = [(line.event, line.actor, line.outcome) for line in lines]
    assert told == [
        ("token.issue", lodge.client.client_id, "ok"),
        ("token.revoke", lodge.client.client_id, "ok"),
        ("token.issue", None, "invalid_client"),
        ("token.issue", None, "invalid_client"),
    ]
    assert lines[2].details == {"claimed": lodge.client.client_id}
    assert (lines[1].address, lines[1].request_id) == ("192.0.2.1", "request-1")
    everything = json.dumps([list(line) for line in lines])
    for secret in (lodge.secret, token, "hunter2"):
        assert secret not in everything
