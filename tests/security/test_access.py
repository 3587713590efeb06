"""Who may call what: tricks with names, scopes and methods, at both doors (OWASP API1, API3, API5)."""

from __future__ import annotations

import pytest
from werkzeug.test import Client, TestResponse

from secure_ml_api.api.door import route_template
from secure_ml_api.api.guard import PUBLIC
from secure_ml_api.auth.policy import parse_scopes, reaches
from secure_ml_api.errors import OperatorError
from support.application import Application

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
JSON = {"Content-Type": "application/json"}


def ask(door: Client, path: str, headers: dict[str, str], body: bytes = ROW) -> TestResponse:
    """The path reaches the application as a server hands it over, decoded but otherwise as it came."""
    environ = {"PATH_INFO": path.encode().decode("latin-1")}
    return door.post("/", data=body, headers={**JSON, **headers}, environ_overrides=environ)


NAMES_LIKE_ANOTHER = {
    "two names": "iris,outliers",
    "two names in a list": "[iris,outliers]",
    "any name": "*",
    "in capitals": "OUTLIERS",
    "one capital": "Outliers",
    "a dotless i": "outl\u0131ers",
    "a Cyrillic o": "\u043eutliers",
    "full width": "\uff4f\uff55\uff54\uff4c\uff49\uff45\uff52\uff53",
    "a long s": "outlier\u017f",
    "a soft hyphen": "out\u00adliers",
    "a zero width space": "outliers\u200b",
    "a NUL": "outliers\x00",
    "a NUL and a good name": "outliers\x00iris",
    "a line end": "outliers\n",
    "a space": "outliers ",
    "a parameter": "outliers;v=1",
    "a step up": "iris/../outliers",
    "a step up at the start": "../models/outliers",
    "a backslash": "iris\\..\\outliers",
    "an empty name": "",
    "a dot": ".",
    "a scope": "predict:outliers",
    "still encoded": "outlier%73",
    "encoded twice": "%6futliers",
    "a very long name": "outliers" * 40,
    "a version in the name": "outliers/versions/1",
}


@pytest.mark.parametrize("name", NAMES_LIKE_ANOTHER.values(), ids=NAMES_LIKE_ANOTHER.keys())
@pytest.mark.parametrize("shape", ["/v1/models/{}/predict", "/v1/models/{}:predict", "/v2/models/{}/infer"])
def test_no_spelling_of_a_models_name_reaches_a_model_beyond_the_scope(
    door: Client, application: Application, shape: str, name: str
) -> None:
    answer = ask(door, shape.format(name), application.headers("predict:iris"))
    assert answer.status_code in {403, 404}, answer.get_data()
    problem = answer.get_json()
    assert "outlier" not in problem["detail"] or answer.status_code == 403


def test_a_request_that_names_several_models_is_decided_as_a_whole(door: Client, application: Application) -> None:
    """No route takes several models, so a list of them is a name that nobody has, whatever the caller may do."""
    for scopes in (("predict:iris",), ("predict:iris", "predict:outliers"), ("predict:*",)):
        for name in ("iris,outliers", "iris+outliers", "iris;outliers", "iris|outliers", "iris outliers"):
            assert ask(door, f"/v1/models/{name}/predict", application.headers(*scopes)).status_code == 404


def test_the_model_of_the_address_decides_and_no_other_word_of_the_request(
    door: Client, application: Application
) -> None:
    for body in (
        b'{"model_name": "outliers", "features": [5.1, 3.5, 1.4, 0.2]}',
        b'{"model": "outliers", "features": [5.1, 3.5, 1.4, 0.2]}',
        b'{"model_spec": {"name": "outliers"}, "instances": [[5.1, 3.5, 1.4, 0.2]]}',
    ):
        assert ask(door, "/v1/models/iris/predict", application.headers("predict:iris"), body).status_code == 422
    headers = application.headers("predict:iris") | {
        "X-Original-URL": "/v1/models/outliers/predict",
        "X-Rewrite-URL": "/v1/models/outliers/predict",
        "X-Model": "outliers",
    }
    assert ask(door, "/v1/models/iris/predict", headers).get_json()["model"] == "iris"
    refused = ask(door, "/v1/models/outliers/predict", headers | {"X-Original-URL": "/v1/models/iris/predict"})
    assert refused.status_code == 403


def test_a_refusal_tells_a_stranger_nothing_of_which_models_and_versions_exist(
    door: Client, application: Application
) -> None:
    headers = application.headers("predict:iris") | {"X-Request-Id": "same"}

    def told(path: str, name: str) -> tuple[int, bytes]:
        answer = ask(door, path, headers)
        return answer.status_code, answer.get_data().replace(name.encode(), b"NAME")

    for shape in ("/v1/models/{}/predict", "/v1/models/{}/versions/1/predict", "/v2/models/{}/infer"):
        real, invented = (told(shape.format(name), name) for name in ("outliers", "invented"))
        assert real == invented
        assert real[0] == 403


@pytest.mark.parametrize(
    "scope",
    [
        "predict", "predict:", "predict:**", "predict:iris*", "predict:*iris", "predict:.*", "PREDICT:*",
        "Predict:iris", "predict :iris", "predict:iris ", " predict:iris", "predict:ir\u0131s", "predict:iris\n",
        "predict:iris,outliers", "predict:../iris", "models:*", "*", "admin", "models:admin\x00", "clients:Admin", "",
    ],
)  # fmt: skip
def test_no_client_can_be_given_a_scope_that_only_looks_like_one(scope: str) -> None:
    with pytest.raises(OperatorError):
        parse_scopes([scope])


def test_no_scope_reaches_a_scope_of_another_kind() -> None:
    any_model = frozenset({"predict:*"})
    assert reaches(any_model, frozenset({"predict:iris"}))
    for other in ("models:read", "models:admin", "clients:admin"):
        assert not reaches(any_model, frozenset({other}))
        assert not reaches(frozenset({other}), frozenset({"predict:iris"}))
        assert not reaches(frozenset({other}), any_model)
    assert not reaches(frozenset({"predict:iris"}), any_model)


def test_every_guarded_route_refuses_a_caller_whose_scope_is_for_something_else(application: Application) -> None:
    """A scope that opens nothing else: whoever holds it is known, and still gets no further than the guard."""
    headers = application.headers("clients:admin")
    guarded = [rule for rule in application.app.url_map.iter_rules() if rule.endpoint not in PUBLIC]
    assert len(guarded) >= 14
    for rule in guarded:
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = route_template(rule.rule).format(name="iris", version="1")
            answer = application.client.open(path, method=method, data=ROW, headers={**JSON, **headers})
            assert answer.status_code == 403, (method, path)
            assert 'error="insufficient_scope", scope="' in answer.headers["WWW-Authenticate"]


def test_no_route_answers_trace_or_a_method_that_it_does_not_name(application: Application) -> None:
    methods = ("TRACE", "CONNECT", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND", "FOO")
    for rule in application.app.url_map.iter_rules():
        path = route_template(rule.rule).format(name="iris", version="1")
        for method in methods:
            answer = application.client.open(path, method=method, headers=application.headers())
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == (rule.methods or set()), path
            assert answer.get_json()["status"] == 405


@pytest.mark.parametrize("override", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_and_no_parameter_changes_the_method(door: Client, application: Application, override: str) -> None:
    headers = {**JSON, **application.headers(), override: "POST"}
    assert door.get("/v1/models/iris/predict?_method=POST", data=ROW, headers=headers).status_code == 405
    headers[override] = "DELETE"
    assert door.post("/v1/models/iris/predict?_method=DELETE", data=ROW, headers=headers).status_code == 200


def test_no_page_of_another_origin_can_read_an_answer(door: Client, application: Application) -> None:
    for headers in (application.headers(), {}):
        answer = door.post("/v1/models/iris/predict", data=ROW, headers={**JSON, **headers, "Origin": "https://evil"})
        assert not [name for name, _ in answer.headers.to_wsgi_list() if name.lower().startswith("access-control-")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Set-Cookie" not in answer.headers
