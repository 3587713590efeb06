"""Protected by default: the URL map, the guard and the OpenAPI document tell the same story."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from secure_ml_api.api.door import route_template
from secure_ml_api.api.guard import PUBLIC
from secure_ml_api.api.schemas import ModelMetadata
from support.application import Application
from support.server import command_line

ROUTES_WITHOUT_TOKEN = {
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2",
    "POST /oauth/token",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /openapi.json",
    "GET /docs",
}


def routes_of(app: Flask) -> dict[str, str]:
    """``METHOD /path/{name}`` → endpoint, for every route."""
    return {
        f"{method} {route_template(rule.rule)}": rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }


def documented(application: Application) -> dict[str, object]:
    document: dict[str, object] = application.client.get("/openapi.json").get_json()
    return document


def test_every_route_but_the_public_ones_answers_401_without_a_token(application: Application) -> None:
    guarded = {route for route in routes_of(application.app) if route not in ROUTES_WITHOUT_TOKEN}
    assert len(guarded) >= 15
    for route in guarded:
        method, _, path = route.partition(" ")
        answer = application.client.open(path.format(name="iris", version="1"), method=method)
        assert answer.status_code in ({400, 401} if path.startswith("/oauth/") else {401}), route
        assert "WWW-Authenticate" in answer.headers or answer.status_code == 400, route


def test_the_public_routes_are_exactly_the_listed_ones(application: Application) -> None:
    public = {route for route, endpoint in routes_of(application.app).items() if endpoint in PUBLIC}
    assert public - {"POST /oauth/revoke", "POST /oauth/introspect"} == ROUTES_WITHOUT_TOKEN


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2", "/v2/", "/openapi.json", "/docs"])
def test_public_documents_answer_without_a_token(application: Application, path: str) -> None:
    assert application.client.get(path).status_code == 200


def test_the_url_map_equals_the_openapi_document(application: Application) -> None:
    paths = documented(application)["paths"]
    assert isinstance(paths, dict)
    described = {
        f"{method.upper()} {path}"
        for path, item in paths.items()
        for method, operation in item.items()
        if "x-model" not in operation
    }
    assert described == set(routes_of(application.app))


def test_metadata_of_a_model_is_what_the_openapi_document_says(application: Application) -> None:
    told = application.client.get("/v2/models/iris", headers=application.headers()).get_json()
    read = ModelMetadata.model_validate(told).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert read["inputs"] == told["inputs"]
    assert told["inputs"][0]["parameters"]["features"][2] == "petal length (cm)"
    assert read.keys() == told.keys()


def test_the_openapi_document_is_valid(application: Application) -> None:
    from openapi_spec_validator import validate  # which takes seconds

    validate(documented(application))


def test_each_served_model_has_a_typed_schema(application: Application) -> None:
    document = documented(application)
    schemas = document["components"]["schemas"]  # type: ignore[index]
    named = schemas["iris.Row"]["properties"]["features"]["anyOf"]
    assert {"$ref": "#/components/schemas/iris.Record"} in named
    length = schemas["iris.Record"]["properties"]["sepal length (cm)"]
    assert (length["type"], length["minimum"]) == ("number", 0)
    assert schemas["iris.Prediction"]["properties"]["prediction"] == {
        "enum": [0, 1, 2],
        "title": "Prediction",
        "type": "integer",
    }
    assert schemas["iris.Prediction"]["properties"]["label"]["enum"] == ["setosa", "versicolor", "virginica"]
    assert {model["name"] for model in document["x-models"]} == {  # type: ignore[attr-defined]
        "iris",
        "iris-tree",
        "cancer-svm",
        "housing",
        "outliers",
    }


def test_the_command_prints_the_document_that_the_server_serves(application: Application) -> None:
    assert command_line(application.settings.home, "openapi") == documented(application)


def test_models_are_left_out_of_the_public_document_when_settings_say_so(home: Path) -> None:
    with Application(home, server={"publish_models": False}) as application:
        assert "sepal" not in application.client.get("/openapi.json").get_data(as_text=True)
        assert "sepal" not in application.client.get("/docs").get_data(as_text=True)


def test_the_documentation_page_needs_nothing_from_elsewhere(application: Application) -> None:
    page = application.client.get("/docs").get_data(as_text=True)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
