"""Good tokens where they do not count: elsewhere in a request, for another audience, after they were taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from secure_ml_api.auth import key_material
from secure_ml_api.auth.assembly import open_stores, post_doormen
from secure_ml_api.errors import TokenRefused
from support.application import Application
from support.doormen import Lodge, open_lodge
from support.forging import good_claims, good_header, server_key, signed, signed_with_hmac

PREDICT = "/v1/models/iris/predict"
ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


def ask(door: Client, headers: Mapping[str, str], path: str = PREDICT, body: bytes = ROW) -> TestResponse:
    return door.post(path, data=body, headers={"Content-Type": "application/json", **headers})


def test_the_token_is_good_where_it_belongs(door: Client, application: Application) -> None:
    assert ask(door, application.headers()).status_code == 200


def test_a_token_counts_in_the_authorization_header_alone(door: Client, application: Application) -> None:
    token = application.token("predict:*")
    places: list[tuple[str, dict[str, str], bytes]] = [
        (f"{PREDICT}?access_token={token}", {}, ROW),
        (f"{PREDICT}?Authorization=Bearer+{token}", {}, ROW),
        (PREDICT, {"Cookie": f"access_token_cookie={token}; access_token={token}; session={token}"}, ROW),
        (PREDICT, {"X-Access-Token": token, "X-Authorization": f"Bearer {token}", "X-Auth-Token": token}, ROW),
        (PREDICT, {"Proxy-Authorization": f"Bearer {token}"}, ROW),
        (PREDICT, {}, json.dumps({"access_token": token, "features": [5.1, 3.5, 1.4, 0.2]}).encode()),
        (PREDICT, {"Content-Type": "application/x-www-form-urlencoded"}, f"access_token={token}".encode()),
    ]
    for path, headers, body in places:
        assert ask(door, headers, path, body).status_code == 401, (path, list(headers))


@pytest.mark.parametrize(
    "shape",
    [
        "Bearer {0}, Bearer {0}",
        "Bearer {0},",
        ", Bearer {0}",
        "Basic YTpi, Bearer {0}",
        "Bearer {0} {0}",
        "Bearer\t{0}",
    ],
)
def test_two_authorizations_in_one_request_are_refused(door: Client, application: Application, shape: str) -> None:
    """A server joins two header fields with a comma, and what stands before it might have another for its meaning."""
    token = application.token("predict:*")
    assert ask(door, {"Authorization": shape.format(token)}).status_code == 401


@pytest.mark.parametrize("query", ["access_token={0}", "access_token=", "a=b&access%5Ftoken=x&c", "access_token"])
def test_a_token_in_the_address_spoils_a_good_one_in_the_header(
    door: Client, application: Application, query: str
) -> None:
    """RFC 6750 section 2: one way in each request. What is in the address is in the logs of every proxy."""
    headers = application.headers()
    path = f"{PREDICT}?{query.format(application.token('predict:*'))}"
    assert ask(door, headers, path).status_code == 401
    assert ask(door, headers, f"{PREDICT}?other=x").status_code == 200
    models = door.get(f"/v2/models/iris?{query.format('x')}", headers=headers)
    assert models.status_code == 401


def test_a_client_secret_is_no_token(door: Client, application: Application) -> None:
    record, secret = application.register("predict:*")
    for text in (f"Bearer {secret}", f"Bearer {record.client_id}", f"Basic {secret}"):
        assert ask(door, {"Authorization": text}).status_code == 401


def test_one_spelling_of_a_token_is_a_token(door: Client, application: Application) -> None:
    token = application.token("predict:*")
    head, claims, mark = token.split(".")
    spellings = [
        f"{head}.{claims}.{mark}=",
        f"{head}=.{claims}.{mark}",
        f"{head}.{claims}.{mark}.",
        f".{head}.{claims}.{mark}",
        f"{head}%2E{claims}%2E{mark}",
        f"{head}.{claims}.{mark}\u00a0",
        token.upper(),
        token.swapcase(),
    ]
    for text in spellings:
        answer = ask(door, {"Authorization": f"Bearer {text}".encode().decode("latin-1")})
        assert answer.status_code == 401, text
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_revoked_token_is_refused_however_it_is_sent_and_though_it_was_just_used(
    door: Client, application: Application
) -> None:
    token = application.token("predict:*", concurrency=2)
    assert ask(door, {"Authorization": f"Bearer {token}"}).status_code == 200
    claims = application.house.doormen.authenticator.verify(token)
    application.house.stores.revocations.revoke(claims.token_id, claims.client_id, claims.expires_at)
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert ask(door, {"Authorization": f"{scheme} {token}"}).status_code == 401


def test_a_client_that_lost_a_scope_lost_it_in_the_tokens_that_it_has(door: Client, application: Application) -> None:
    record, secret = application.register("predict:iris", "predict:outliers")
    form = {"grant_type": "client_credentials"}
    answer = application.client.post("/oauth/token", data=form, auth=(record.client_id, secret))
    headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
    assert ask(door, headers).status_code == 200
    application.house.stores.clients.set_scopes(record.client_id, ["predict:outliers"])
    assert ask(door, headers).status_code == 403
    application.house.stores.clients.disable(record.client_id)
    assert ask(door, headers).status_code == 401


def test_public_keys_are_no_secrets_to_sign_with(lodge: Lodge) -> None:
    """The published key set, in every form that a program might take for an HMAC secret."""
    jwks = lodge.oauth.jwks()
    jwk: dict[str, Any] = next(key for key in jwks["keys"] if key["kid"] == good_header(lodge)["kid"])
    forms = [json.dumps(jwks), json.dumps(jwk), json.dumps(jwk, separators=(",", ":")), jwk["x"], jwk["kid"], ""]
    for secret in (form.encode() for form in forms):
        for name, cause in (("HS256", "algorithm"), (good_header(lodge)["alg"], "signature")):
            token = signed_with_hmac(good_header(lodge) | {"alg": name}, good_claims(lodge), secret)
            assert refused(lodge, token) == cause


@pytest.fixture
def two_audiences(tmp_path: Path) -> Lodge:
    """A lodge that also believes an outside issuer, for another audience."""
    theirs = key_material.generate("EdDSA")
    keys = {"keys": [key_material.public_jwk(theirs) | {"kid": "theirs", "alg": "EdDSA", "use": "sig"}]}
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    issuer = {
        "issuer": "https://login.example/",
        "audience": "their-audience",
        "jwks": str(tmp_path / "jwks.json"),
        "algorithms": ["EdDSA"],
    }
    lodge = open_lodge(tmp_path / "home", tokens={"outside_issuers": [issuer]})
    lodge.authenticator._outside.refresh(lodge.settings.tokens.outside_issuers[0])
    return lodge


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "their-audience"},
        {"aud": ["secure-ml-api", "their-audience"]},
        {"iss": "https://login.example/"},
        {"iss": "https://login.example/", "aud": "their-audience"},
        {"iss": ["https://secure-ml-api.local"]},
        {"iss": "https://secure-ml-api.local", "aud": {"secure-ml-api": True}},
    ],
)
def test_our_key_vouches_for_our_issuer_and_our_audience_alone(two_audiences: Lodge, changed: dict[str, Any]) -> None:
    token = signed(good_header(two_audiences), good_claims(two_audiences) | changed, server_key(two_audiences))
    assert refused(two_audiences, token) in {"audience", "claims", "issuer", "unknown_key"}
    two_audiences.stores.trail.flush()


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u3000", "\u2028", "\x0b", "\x1f", "\x85", "\t", "\n"])
def test_scopes_are_parted_by_the_space_alone(lodge: Lodge, space: str) -> None:
    lodge.stores.clients.set_scopes("reader", ["models:read", "predict:iris", "models:admin"])
    claims = good_claims(lodge) | {"scope": f"predict:iris models:read{space}models:admin"}
    principal = lodge.authenticator.authenticate(f"Bearer {signed(good_header(lodge), claims, server_key(lodge))}")
    lodge.stores.clients.set_scopes("reader", ["models:read", "predict:iris"])
    assert principal.scopes == {"predict:iris"}


def test_a_key_taken_out_in_an_emergency_is_refused_by_other_processes_with_their_next_look(lodge: Lodge) -> None:
    """Every worker looks once a second, and the published key set may be kept for 60 seconds at most."""
    stores = open_stores(lodge.settings)
    worker = post_doormen(lodge.app.__class__("another worker"), lodge.settings, stores).authenticator
    token = lodge.token()
    assert worker.authenticate(f"Bearer {token}").client_id == lodge.client.client_id
    lodge.stores.ring.retire(lodge.stores.ring.signing_key().kid, immediately=True)
    worker.refresh()
    with pytest.raises(TokenRefused) as caught:
        worker.authenticate(f"Bearer {token}")
    assert caught.value.cause == "unknown_key"
    stores.database.close()


def test_the_published_keys_are_the_next_the_current_and_the_retiring_and_may_be_kept_for_a_minute(
    application: Application,
) -> None:
    ring = application.house.stores.ring
    before = {key.kid for key in ring.list()}
    ring.rotate()
    ring.reload()
    answer = application.client.get("/.well-known/jwks.json")
    published = {key["kid"]: key for key in answer.get_json()["keys"]}
    assert before < published.keys()
    assert {key.status for key in ring.list()} == {"next", "active", "retiring"}
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    for key in published.values():
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause
