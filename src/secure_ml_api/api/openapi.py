"""The OpenAPI 3.1 document, generated from the pydantic models that validate requests and from the served models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .. import __version__
from ..models.model import Model
from . import schemas
from .body_formats import answer_headers, answers_beside_json, header_parameters, requests_beside_json
from .model_schemas import RowSchemas, row_schemas
from .operation import FORM, Operation
from .operations import OPERATIONS
from .problems import PROBLEM_JSON, STATUSES, TITLES

_REFERENCE = "#/components/schemas/{prefix}{{model}}"
# Name → what it is, and an example; the operations' examples are of this model.
_PARAMETERS = {
    "name": ("Name of the model.", "iris"),
    "version": ("Version of the model, or an alias of one.", "1"),
}
# What may be done with a token that was just given.
_TOKEN_LINKS = {
    operation: {"operationId": operation, "requestBody": {"token": "$response.body#/access_token"}}
    for operation in ("introspect", "revoke")
}
_SCOPES = {
    "models:read": "Read every model's metadata.",
    "predict:NAME": "Predict with the model NAME.",
    "predict:*": "Predict with every model.",
    "models:admin": "Load, unload and list models.",
    "clients:admin": "Ask `/oauth/introspect` about the tokens of other clients, too.",
}
_DESCRIPTION = """Trained models behind scoped tokens and exact quotas. Ask `/oauth/token` for an access token, then
send it as `Authorization: Bearer …`. Every error is a problem document (RFC 9457) with the request's id; quotas are
told in `RateLimit-Policy` and `RateLimit`, and `Retry-After` says when to come back."""


def build_document(models: Iterable[Model], max_rows: int) -> dict[str, Any]:
    """The document for the given served models; those that serve by default get typed paths of their own."""
    typed = {model: row_schemas(model, max_rows) for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    for model, own in typed.items():
        paths[f"/v1/models/{model.name}/predict"] = {"post": _typed_operation(model, own)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "secure-ml-api", "version": __version__, "description": _DESCRIPTION},
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": _schemas(typed),
            "securitySchemes": _security_schemes(),
        },
        "x-problems": _problems(),
        "x-models": [_card(model) for model in typed],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
        "security": _security(operation),
    }
    parameters = [name for name in _PARAMETERS if f"{{{name}}}" in operation.path]
    if parameters:
        entry["parameters"] = header_parameters(operation.request) + [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PARAMETERS[name][0],
                "example": _PARAMETERS[name][1],
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"},
            }
            for name in parameters
        ]
    if operation.request is not None:
        content: dict[str, Any] = {"schema": _reference(operation.request)}
        if operation.example is not None:
            content["example"] = operation.example
        entry["requestBody"] = {
            "required": True,
            "content": {
                FORM if operation.form else "application/json": content,
                **requests_beside_json(operation.request),
            },
        }
    return entry


def _typed_operation(model: Model, own: RowSchemas) -> dict[str, Any]:
    general = next(operation for operation in OPERATIONS if operation.id == "predictRows")
    responses = _responses(general)
    many = {"application/json": {"schema": _reference((own.one_answer, own.many_answer), f"{model.name}.")}}
    responses["200"] = {
        "description": "Predictions.",
        "headers": _QUOTA_HEADERS,
        "content": many | answers_beside_json(general.request),
    }
    return {
        "operationId": f"predict_{model.name}",
        "tags": ["Rows"],
        "summary": f"Predict with {model.name} ({model.signature.task}).",
        "x-model": model.name,
        "parameters": header_parameters(general.request),
        "security": [{"bearer": [f"predict:{model.name}"]}, {"bearer": ["predict:*"]}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _reference((own.one_request, own.many_request), f"{model.name}.")},
                **requests_beside_json(general.request),
            },
        },
        "responses": responses,
    }


_QUOTA_HEADERS = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("RateLimit-Policy", "The quotas that apply (draft-ietf-httpapi-ratelimit-headers)."),
        ("RateLimit", "What is left of them."),
        ("X-Request-Id", "Names this request in the logs."),
    )
}


def _responses(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "object"} if operation.answer is None else {}}
    if operation.answer is not None:
        content["schema"] = _reference(operation.answer)
    if operation.content_type != "application/json":
        content["schema"] = {"type": "string"}
    if operation.id == "repositoryIndex":
        content["schema"] = {"type": "array", "items": _reference(schemas.RepositoryEntry)}
    contents = {operation.content_type: content} | answers_beside_json(operation.request)
    ok: dict[str, Any] = {"description": "Done.", "content": contents}
    if operation.scopes:
        ok["headers"] = _QUOTA_HEADERS | answer_headers(operation.request)
    if operation.id == "token":
        ok["links"] = _TOKEN_LINKS
    answers: dict[str, Any] = {"200": ok}
    for status in sorted(operation.refusals):
        answers[str(status)] = _problem_response(operation, status)
    return answers


def _problem_response(operation: Operation, status: int) -> dict[str, Any]:
    title = next((title for code, title in STATUSES.values() if code == status), None) or TITLES[status][1]
    if operation.id == "ready":
        return {"description": "Not ready.", "content": {"application/json": {"schema": _reference(schemas.Ready)}}}
    if operation.client_authenticated and status in {400, 401}:
        return {"description": title, "content": {"application/json": {"schema": _reference(schemas.OAuthProblem)}}}
    if operation.path.startswith("/v2"):
        return {"description": title, "content": {"application/json": {"schema": _reference(schemas.OipProblem)}}}
    return {"description": title, "content": {PROBLEM_JSON: {"schema": _reference(schemas.Problem)}}}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.client_authenticated:
        return [{"client": []}, {}]
    return [{"bearer": [scope]} for scope in operation.scopes]


def _security_schemes() -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (RFC 9068)", "x-scopes": _SCOPES},
        "client": {"type": "http", "scheme": "basic", "description": "client_id and client_secret"},
    }


def _reference(models: type[BaseModel] | tuple[type[BaseModel], ...], prefix: str = "") -> dict[str, Any]:
    if isinstance(models, tuple):
        return {"anyOf": [_reference(model, prefix) for model in models]}
    return {"$ref": _REFERENCE.format(prefix=prefix).format(model=models.__name__)}


def _schemas(typed: Mapping[Model, RowSchemas]) -> dict[str, Any]:
    requests = [schema for operation in OPERATIONS for schema in _each(operation.request)]
    answers = [schema for operation in OPERATIONS for schema in _each(operation.answer)]
    answers += [schemas.Problem, schemas.OipProblem, schemas.OAuthProblem, schemas.RepositoryEntry]
    found = _definitions(requests, answers, "")
    for model, own in typed.items():
        prefix = f"{model.name}."
        found |= _definitions((own.one_request, own.many_request), (own.one_answer, own.many_answer), prefix)
    return found


def _definitions(
    requests: Iterable[type[BaseModel]], answers: Iterable[type[BaseModel]], prefix: str
) -> dict[str, Any]:
    wanted = [(model, "validation") for model in requests] + [(model, "serialization") for model in answers]
    template = _REFERENCE.format(prefix=prefix)
    _, made = models_json_schema(list(dict.fromkeys(wanted)), ref_template=template)  # type: ignore[arg-type]
    return {f"{prefix}{name}": schema for name, schema in sorted(made["$defs"].items())}


def _each(models: type[BaseModel] | tuple[type[BaseModel], ...] | None) -> tuple[type[BaseModel], ...]:
    if models is None:
        return ()
    return models if isinstance(models, tuple) else (models,)


def _problems() -> list[dict[str, Any]]:
    listed = {
        refusal.reason: {
            "reason": refusal.reason,
            "status": status,
            "title": title,
            "description": (refusal.__doc__ or "").strip().partition("\n")[0],
        }
        for refusal, (status, title) in STATUSES.items()
    }
    for status, (reason, title, words) in TITLES.items():
        listed.setdefault(reason, {"reason": reason, "status": status, "title": title, "description": words})
    return sorted(listed.values(), key=lambda problem: (problem["status"], problem["reason"]))


def _card(model: Model) -> dict[str, Any]:
    signature = model.signature
    return {
        "name": model.name,
        "version": model.version,
        "task": signature.task,
        "features": [column.model_dump(exclude_defaults=False, mode="json") for column in signature.columns],
        "classes": list(signature.classes),
        "labels": list(signature.labels),
    }
