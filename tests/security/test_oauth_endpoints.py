"""The token endpoints over HTTP: what they answer, and what nobody can make them do (RFC 6749, 7009, 7662)."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import jwt
import pytest
from werkzeug.test import TestResponse

from secure_ml_api.auth.records import ClientRecord
from support.application import Application
from support.doormen import basic
from support.metric_catalogue import sample

FORM = "application/x-www-form-urlencoded"
GRANT = "grant_type=client_credentials"
ENDPOINTS = ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]


@pytest.fixture(scope="module")
def known(application: Application) -> tuple[ClientRecord, str]:
    return application.register("predict:iris", "models:read")


@pytest.fixture(scope="module")
def known_everywhere(application: Application) -> tuple[ClientRecord, str]:
    return application.register("predict:*")


def post(application: Application, path: str, body: str | bytes, **headers: str) -> TestResponse:
    sent = {"Content-Type": FORM, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return application.client.post(path, data=body, headers=sent)


def with_secret(client: tuple[ClientRecord, str], more: str = GRANT) -> str:
    return f"client_id={client[0].client_id}&client_secret={client[1]}&{more}"


def refused(answer: TestResponse, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.get_data()
    body: dict[str, Any] = answer.get_json()
    return body


def test_an_answer_with_a_token_is_never_kept(application: Application, known: tuple[ClientRecord, str]) -> None:
    for answer in (post(application, "/oauth/token", with_secret(known)), post(application, "/oauth/token", GRANT)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Pragma"] == "no-cache"
        assert "refresh_token" not in answer.get_json()


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_the_endpoints_are_for_post_alone(application: Application, path: str, method: str) -> None:
    answer = application.client.open(f"{path}?{GRANT}", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded2"],
)
def test_the_endpoints_read_forms_alone(
    application: Application, known: tuple[ClientRecord, str], path: str, content_type: str
) -> None:
    answer = application.client.post(path, data=with_secret(known), headers={"Content-Type": content_type})
    assert refused(answer, 400)["error"] == "invalid_request"


@pytest.mark.parametrize("query", [GRANT, "client_secret=x", "a", "%ff", b"\xff\xfe".decode("latin-1"), "token=x"])
def test_nothing_may_stand_in_the_address(
    application: Application, known: tuple[ClientRecord, str], query: str
) -> None:
    """It would stand in the logs of every proxy too."""
    environ = {"QUERY_STRING": query, "CONTENT_TYPE": FORM}
    answer = application.client.post("/oauth/token", data=with_secret(known), environ_overrides=environ)
    assert refused(answer, 400)["error"] == "invalid_request"


def test_a_client_that_is_not_known_gets_401_with_a_challenge(application: Application) -> None:
    answer = post(application, "/oauth/token", GRANT, Authorization=basic("f" * 32, "x"))
    assert refused(answer, 401)["error"] == "invalid_client"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="secure-ml-api", charset="UTF-8"'


def test_unknown_disabled_and_mistaken_clients_get_the_same_answer_byte_for_byte(
    application: Application, known: tuple[ClientRecord, str]
) -> None:
    off, off_secret = application.register("predict:iris")
    application.house.stores.clients.disable(off.client_id)
    claims = [(known[0].client_id, "wrong"), ("f" * 32, "wrong"), (off.client_id, off_secret), ("' or 1=1", "x")]
    claims += [(known[0].client_id, known[1].swapcase()), (known[0].client_id, known[1] + "x" * 200)]
    answers = [
        post(application, "/oauth/token", GRANT, Authorization=basic(*claim), X_Request_Id="same") for claim in claims
    ]
    assert {(answer.status, answer.get_data(), str(sorted(answer.headers))) for answer in answers} == {
        (answers[0].status, answers[0].get_data(), str(sorted(answers[0].headers)))
    }
    assert answers[0].status_code == 401


@pytest.mark.parametrize(
    "more",
    [
        "scope=models:admin",
        "scope=predict:iris models:admin",
        "scope=PREDICT:IRIS",
        "scope=predict:*",
        "scope=predict:iris%00",
        "scope=predict:iris%0amodels:admin",
        "scope=predict:iris%C2%A0models:admin",
        "scope=predict:%D1%96ris",
        "scope=predict:iris%09models:read",
        "scope=%20",
        "scope=clients:admin%20",
    ],
)
def test_no_spelling_of_a_scope_widens_a_token(
    application: Application, known: tuple[ClientRecord, str], more: str
) -> None:
    answer = post(application, "/oauth/token", with_secret(known, f"{GRANT}&{more}"))
    assert refused(answer, 400)["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "scope",
    [
        "predict:iris%09models:admin",
        "predict:iris%0d%0amodels:admin",
        "predict:iris%00",
        "predict:iris%C2%A0models:admin",
        "predict:%D1%96ris",
        "predict:%22iris%22",
        "predict:iris%5C",
        "predict:",
        "predict:iris/../admin",
        "predict:*%20predict:**",
        "predict:" + "a" * 101,
        "predict:" + "a" * 9000,
        "predict:iris%20models:admin",
        "PREDICT:*",
    ],
)
def test_whoever_may_predict_everything_still_gets_no_token_for_what_is_no_scope(
    application: Application, known_everywhere: tuple[ClientRecord, str], scope: str
) -> None:
    answer = post(application, "/oauth/token", with_secret(known_everywhere, f"{GRANT}&scope={scope}"))
    assert refused(answer, 400)["error"] == "invalid_scope"


def test_every_token_that_is_given_out_is_one_that_this_server_takes(
    application: Application, known_everywhere: tuple[ClientRecord, str]
) -> None:
    statuses = []
    for number in (1, 40, 60, 75):
        scope = "%20".join(f"predict:{name:0100}" for name in range(number))
        answer = post(application, "/oauth/token", with_secret(known_everywhere, f"{GRANT}&scope={scope}"))
        statuses.append(answer.status_code)
        if answer.status_code == 200:
            token = answer.get_json()["access_token"]
            read = application.client.get("/v1/models/" + "0" * 100, headers={"Authorization": f"Bearer {token}"})
            assert read.status_code == 404  # allowed, but there is no such model
        else:
            assert refused(answer, 400)["error"] == "invalid_scope"
    assert statuses == [200, 200, 400, 400]


@pytest.mark.parametrize(
    "more",
    [
        "scopes=models:admin&enabled=1&requests=1/day&concurrency=9999",
        "aud=other&iss=evil&sub=admin&jti=chosen&exp=9999999999&lifetime=999999&expires_in=999999",
        "client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "resource=https://other.example&audience=other",
        "username=admin&password=admin&code=x&redirect_uri=https://evil.example&refresh_token=x",
        "alg=none&kid=x&typ=JWT",
    ],
)
def test_what_a_form_says_beside_its_parameters_changes_nothing(
    application: Application, known: tuple[ClientRecord, str], more: str
) -> None:
    answer = post(application, "/oauth/token", with_secret(known, f"{GRANT}&{more}"))
    assert answer.status_code == 200
    assert (answer.get_json()["expires_in"], answer.get_json()["scope"]) == (900, "models:read predict:iris")
    token = answer.get_json()["access_token"]
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"], claims["iss"]) == (
        "secure-ml-api",
        known[0].client_id,
        "https://secure-ml-api.local",
    )
    assert claims["exp"] - claims["iat"] == 900
    assert claims["jti"] != "chosen"
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "EdDSA"
    record = application.house.stores.clients.show(known[0].client_id)
    assert record == known[0]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_form_of_many_parameters_is_refused_before_it_is_taken_apart(application: Application, path: str) -> None:
    assert refused(post(application, path, "&a=1" * 65), 400)["error"] == "invalid_request"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_long_form_is_never_taken_apart(application: Application, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has proved anything yet, and two million parameters would take a CPU for seconds."""

    def taken_apart(*_: Any, **__: Any) -> None:
        raise AssertionError("the form was taken apart")

    for where in ("secure_ml_api.api.oauth", "werkzeug.formparser", "urllib.parse"):
        monkeypatch.setattr(f"{where}.parse_qsl", taken_apart)
    assert post(application, path, "&a" * 2_000_000).status_code == 413


def test_bad_forms_use_up_the_quota_of_their_address(prepared_home: Path, tmp_path: Path) -> None:
    with Application(
        Path(shutil.copytree(prepared_home, tmp_path / "home")), quotas={"token_address": "3/hour"}
    ) as app:
        bodies = ["&a" * 100_000, "&a=1" * 65, "\xff", GRANT]
        assert [post(app, "/oauth/token", body).status_code for body in bodies] == [413, 400, 401, 429]


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"a" * 3000 + b":" + b"b" * 3000).decode(),
        "Basic " + base64.b64encode(b"x\x00y:z").decode(),
        "Basic " + base64.b64encode(b"x:y\r\nSet-Cookie: a=b").decode(),
        "Basic =",
        "basic",
        "Negotiate abc",
        "Bearer a.b.c",
    ],
)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_strange_credentials_are_an_invalid_client(application: Application, path: str, authorization: str) -> None:
    answer = post(application, path, f"{GRANT}&token=x", Authorization=authorization)
    assert refused(answer, 401)["error"] == "invalid_client"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ENDPOINTS)
def test_guessed_secrets_are_counted_where_failed_authentications_are(
    application: Application, known: tuple[ClientRecord, str], path: str
) -> None:
    def counted(**labels: str) -> float:
        return sample(application.house.services.metrics, "secure_ml_api_auth_failures_total", **labels)

    before, others = counted(reason="invalid_client"), counted()
    for claim in ((known[0].client_id, "guessed"), ("f" * 32, "guessed")):
        refused(post(application, path, f"{GRANT}&token=x", Authorization=basic(*claim)), 401)
    assert counted(reason="invalid_client") == before + 2
    post(application, path, with_secret(known, f"{GRANT}&token=x"))
    refused(post(application, path, with_secret(known, "grant_type=other&token=x&token=y")), 400)
    assert counted() == others + 2


def test_revocation_says_200_to_unknown_tokens_and_400_to_tokens_of_others(
    application: Application, known: tuple[ClientRecord, str]
) -> None:
    for token in ("unknown", "a.b.c", "%00", "x" * 9000):
        answer = post(application, "/oauth/revoke", with_secret(known, f"token={token}"))
        assert (answer.status_code, answer.get_data()) == (200, b"{}")
    other = application.token("models:read", "predict:housing")
    answer = post(application, "/oauth/revoke", with_secret(known, f"token={other}"))
    assert refused(answer, 400)["error"] == "invalid_grant"
    assert application.client.get("/v2/models/iris", headers={"Authorization": f"Bearer {other}"}).status_code == 200


def test_introspection_of_everything_that_is_not_the_callers_is_exactly_inactive(
    application: Application, known: tuple[ClientRecord, str]
) -> None:
    others = application.token("models:read", "predict:cancer-svm")
    for token in ("unknown", "a.b.c", "%00", "x" * 9000, others):
        answer = post(application, "/oauth/introspect", with_secret(known, f"token={token}"))
        assert (answer.status_code, answer.get_data()) == (200, b'{"active":false}')
        assert answer.headers["Cache-Control"] == "no-store"


def test_metadata_and_keys_do_not_repeat_the_host_that_was_asked(application: Application) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/openapi.json", "/docs", "/v2"):
        answer = application.client.get(path, headers=headers)
        assert b"evil.example" not in answer.get_data()
        assert not [value for value in answer.headers.values() if "evil.example" in value]
