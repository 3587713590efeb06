"""A view under the library's own decorator refuses what every other route refuses, and tells no cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from flask_jwt_extended import (
    create_access_token,
    create_refresh_token,
    current_user,
    decode_token,
    get_current_user,
    jwt_required,
)

from secure_ml_api.errors import Refusal, TokenMissing, TokenRefused
from support.doormen import Lodge, open_lodge
from support.forging import good_claims, good_header, server_key, signed


@pytest.fixture
def lodge(tmp_path: Path) -> Lodge:
    lodge = open_lodge(tmp_path)
    _add_views(lodge.app)
    return lodge


@pytest.fixture
def caller(lodge: Lodge) -> FlaskClient:
    return lodge.app.test_client()


def _add_views(app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.errorhandler(Refusal)
    def refused(error: Refusal) -> tuple[Any, int]:
        cause = error.cause if isinstance(error, TokenRefused) else ""
        return jsonify(error=type(error).__name__, cause=cause), 401 if isinstance(
            error, TokenMissing | TokenRefused
        ) else 503

    def add(path: str, **options: Any) -> None:
        @jwt_required(**options)  # type: ignore[untyped-decorator]  # the library has no types
        def view() -> Any:
            return jsonify(client=current_user.client_id, scopes=sorted(current_user.scopes))

        app.add_url_rule(path, path, view, methods=["GET", "POST"])

    add("/plain")
    add("/fresh", fresh=True)
    add("/refresh", refresh=True)
    add("/query", locations=["query_string", "headers"])
    add("/json", locations=["json"])
    add("/cookies", locations=["cookies"])
    add("/untyped", verify_type=False)
    add("/careless", skip_revocation_check=True)

    @app.get("/optional")
    @jwt_required(optional=True)  # type: ignore[untyped-decorator]  # as above
    def optional() -> Any:
        return jsonify(anonymous=get_current_user() is None)


def answer(caller: FlaskClient, path: str, token: str | None, **options: Any) -> tuple[int, str, str]:
    """Status, class of the refusal, and its cause."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = caller.get(path, headers=headers | options.pop("headers", {}), **options)
    body = response.get_json()
    return response.status_code, body.get("error", ""), body.get("cause", "")


def test_good_token_gives_the_principal(lodge: Lodge, caller: FlaskClient) -> None:
    response = caller.get("/plain", headers={"Authorization": f"Bearer {lodge.token()}"})
    assert response.get_json() == {"client": lodge.client.client_id, "scopes": ["models:read", "predict:iris"]}


def test_no_token_is_token_missing(caller: FlaskClient) -> None:
    assert answer(caller, "/plain", None) == (401, "TokenMissing", "")


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer x", "bearer", "Basic dXNlcjpwYXNz", "Bearer a.b.c"])
def test_garbage_is_refused_with_401(caller: FlaskClient, header: str) -> None:
    assert caller.get("/plain", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"])
def test_missing_claims_are_refused_inside_the_library(lodge: Lodge, caller: FlaskClient, name: str) -> None:
    claims = good_claims(lodge)
    del claims[name]
    status, error, _ = answer(caller, "/plain", signed(good_header(lodge), claims, server_key(lodge)))
    assert (status, error) == (401, "TokenRefused")


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "JWT"}, {}),
        ({"alg": "none"}, {}),
        ({"kid": "other"}, {}),
        ({"crit": ["exp"]}, {}),
        ({}, {"iss": "evil"}),
        ({}, {"aud": "other"}),
        ({}, {"exp": 1}),
        ({}, {"nbf": 2**40}),
        ({}, {"type": "refresh"}),
        ({}, {"padding": "x" * 9000}),
    ],
)
def test_the_librarys_traps_are_closed(
    lodge: Lodge, caller: FlaskClient, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = signed(good_header(lodge) | header, good_claims(lodge) | claims, server_key(lodge))
    assert answer(caller, "/plain", token)[:2] == (401, "TokenRefused")


def test_revoked_token_is_refused_even_where_the_view_skips_the_check(lodge: Lodge, caller: FlaskClient) -> None:
    token = lodge.token()
    lodge.oauth.revoke([("token", token)], lodge.basic(), None)
    assert answer(caller, "/plain", token) == (401, "TokenRefused", "revoked")
    assert answer(caller, "/careless", token) == (401, "TokenRefused", "revoked")


def test_disabled_client_is_refused(lodge: Lodge, caller: FlaskClient) -> None:
    token = lodge.token()
    lodge.stores.clients.disable("reader")
    assert answer(caller, "/plain", token) == (401, "TokenRefused", "client")


def test_views_that_ask_for_more_refuse_in_our_words(lodge: Lodge, caller: FlaskClient) -> None:
    token = lodge.token()
    assert answer(caller, "/fresh", token) == (401, "TokenRefused", "not_fresh")
    assert answer(caller, "/refresh", token) == (401, "TokenRefused", "malformed")
    assert answer(caller, "/untyped", token)[0] == 200


def test_token_outside_the_header_is_refused_wherever_a_view_looks_for_it(lodge: Lodge, caller: FlaskClient) -> None:
    token = lodge.token()
    assert answer(caller, f"/query?jwt={token}", None)[:2] == (401, "TokenMissing")
    assert caller.post("/json", json={"access_token": token}).status_code == 401
    caller.set_cookie("access_token_cookie", token)
    assert answer(caller, "/cookies", None)[0] == 401


def test_second_authorization_header_is_refused(lodge: Lodge, caller: FlaskClient) -> None:
    header = f"Bearer {lodge.token()}, Basic dXNlcjpwYXNz"
    assert caller.get("/plain", headers={"Authorization": header}).status_code == 401


def test_optional_view_lets_nobody_in_and_refuses_a_bad_token(lodge: Lodge, caller: FlaskClient) -> None:
    assert caller.get("/optional").get_json()["anonymous"] is True
    assert answer(caller, "/optional", "a.b.c")[:2] == (401, "TokenRefused")


def test_tokens_made_through_the_library_are_access_tokens_of_ours(lodge: Lodge) -> None:
    with lodge.app.app_context():
        token = create_access_token(
            lodge.client.client_id, additional_claims={"client_id": lodge.client.client_id, "scope": "models:read"}
        )
        assert jwt.get_unverified_header(token) == good_header(lodge)
        assert decode_token(token)["iss"] == lodge.settings.tokens.issuer
    assert lodge.authenticator.authenticate(f"Bearer {token}").scopes == {"models:read"}


def test_refresh_token_made_through_the_library_opens_nothing(lodge: Lodge) -> None:
    with lodge.app.app_context():
        token = create_refresh_token(
            lodge.client.client_id, additional_claims={"client_id": lodge.client.client_id, "scope": "models:read"}
        )
    with pytest.raises(TokenRefused):
        lodge.authenticator.authenticate(f"Bearer {token}")


def test_no_loader_of_the_library_is_left_as_it_was(lodge: Lodge) -> None:
    manager = lodge.app.extensions["flask-jwt-extended"]
    ours = {name: value for name, value in vars(manager).items() if name.endswith("_callback")}
    assert len(ours) == 15
    kept = [name for name, value in ours.items() if value is None or value.__module__.startswith("flask_jwt_extended")]
    assert kept == []


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_every_algorithm_issues_and_verifies(tmp_path: Path, algorithm: str) -> None:
    lodge = open_lodge(tmp_path / algorithm, tokens={"algorithm": algorithm})
    token = lodge.token()
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


def test_changing_the_algorithm_takes_effect_with_the_next_keys_and_keeps_old_tokens(tmp_path: Path) -> None:
    before = open_lodge(tmp_path).token()
    from secure_ml_api.auth.assembly import open_stores, post_doormen
    from secure_ml_api.settings import read_settings

    settings = read_settings(tmp_path, {}, tokens={"algorithm": "ES256"})
    stores = open_stores(settings)
    stores.ring.rotate()
    doormen = post_doormen(Flask("later"), settings, stores)
    assert doormen.authenticator.authenticate(f"Bearer {before}").token_id
    assert {key["alg"] for key in doormen.oauth.jwks()["keys"]} == {"EdDSA", "ES256"}
    stores.ring.rotate()
    assert {key.alg for key in stores.ring.list() if key.status == "active"} == {"ES256"}
