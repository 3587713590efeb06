"""``docs/http.md``, generated from the OpenAPI document: ``python -m secure_ml_api.cli.http_page > docs/http.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_HEAD = """# The HTTP interface

Generated from the OpenAPI document. A running server has the same at `/docs`, for people, and `/openapi.json`, for
programs, there with a typed schema for each model that it serves.
"""
_PROBLEMS = """
## Errors

An error is a problem document (RFC 9457, `application/problem+json`), but where a public protocol says otherwise:

- under `/v2` it is `application/json` with the same members and the detail once more as `error`, as the Open Inference
  Protocol has it;
- what `/oauth/token`, `/oauth/revoke` and `/oauth/introspect` refuse by the rules of OAuth is `application/json` with
  `error` (such as `invalid_scope`) and `error_description`, as RFC 6749 section 5.2 has it.

What is refused before it reaches a route is told in the same form; only what the engine of the worker class `granian`
takes for no HTTP gets a bare status line. The `type` of a problem document ends with one of these:

| problem | status | title | when |
| --- | --- | --- | --- |
"""


def render() -> str:
    """The whole page."""
    from ..api.openapi import build_document

    document = build_document((), max_rows=1)  # without models no path says how many rows it takes
    return "".join((_HEAD, _scopes(document), *_routes(document), *_schemas(document), _problems(document)))


def _scopes(document: Mapping[str, Any]) -> str:
    scopes: dict[str, str] = document["components"]["securitySchemes"]["bearer"]["x-scopes"]
    return "\n## Scopes\n\n" + _table(
        ("scope", "what it opens"), ((f"`{name}`", text) for name, text in scopes.items())
    )


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in document["tags"]:
        yield f"\n## {tag['name']}\n"
        for route, operation in operations:
            if tag["name"] in operation["tags"]:
                yield f"\n### `{route}`\n\n{operation['summary']}\n\n" + _table(("", ""), _facts(operation))


def _facts(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "needs", _needs(operation["security"])
    headers = [f"`{each['name']}`" for each in operation.get("parameters", ()) if each["in"] == "header"]
    if headers:
        yield "headers", ", ".join(headers)
    if "requestBody" in operation:
        yield "takes", _contents(operation["requestBody"]["content"])
    yield "gives", _contents(operation["responses"]["200"]["content"])
    refusals = [status for status in operation["responses"] if status != "200"]
    if refusals:
        yield "refuses with", ", ".join(refusals)


def _needs(security: Iterable[Mapping[str, list[str]]]) -> str:
    scopes = [f"`{scope}`" for way in security for scope in way.get("bearer", ())]
    if scopes:
        return "a token with the scope " + " or ".join(scopes)
    return "the client's id and secret" if any("client" in way for way in security) else "nothing"


def _contents(contents: Mapping[str, Any]) -> str:
    return "; ".join(f"`{kind}`{_named(content.get('schema'))}" for kind, content in contents.items())


def _named(schema: Mapping[str, Any] | None) -> str:
    words = _type(schema or {})
    return f": {words}" if "[" in words else ""


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Bodies\n\nA field in bold has to be there.\n"
    for name, schema in document["components"]["schemas"].items():
        yield f"\n### {name}\n\n"
        if "description" in schema:
            yield f"{_prose(schema['description'])}\n\n"
        required = schema.get("required", ())
        yield _table(
            ("field", "type"),
            (
                (f"**`{field}`**" if field in required else f"`{field}`", _type(kind))
                for field, kind in schema.get("properties", {}).items()
            ),
        )


def _type(schema: Mapping[str, Any]) -> str:
    """What ``schema`` allows, in words; a schema of its own as a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " or ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}" if schema.get("items") else "array"
    return str(schema.get("type", "anything")) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum", schema.get("maxLength"))
    if high is not None:
        unit = " characters" if "maxLength" in schema else ""
        return f" up to {high}{unit}"
    return f" from {low}" if low is not None else ""


def _problems(document: Mapping[str, Any]) -> str:
    rows = (
        f"| `{each['reason']}` | {each['status']} | {each['title']} | {_prose(each['description'])} |\n"
        for each in document["x-problems"]
    )
    return _PROBLEMS + "".join(rows)


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)]
    return "\n".join(lines) + "\n"


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
