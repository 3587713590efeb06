"""The operations of an OpenAPI document as the documentation page shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .docs_schemas import Field, SchemaReader, Table, pretty

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


@dataclass(frozen=True, slots=True)
class Example:
    """A body as it is sent, and what it shows."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """A body in one content type."""

    media_type: str
    tables: tuple[Table, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """One documented answer; ``status`` is a number or ``default``."""

    status: str
    description: str
    headers: tuple[Field, ...]
    contents: tuple[Content, ...]

    @property
    def is_success(self) -> bool:
        return self.status.startswith("2")


@dataclass(frozen=True, slots=True)
class Access:
    """One way to be let in: credentials in words, and all the scopes that they must carry."""

    scheme: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``access`` is empty for a public one, else lists alternatives, any of which will do."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    access: tuple[Access, ...]
    parameters: tuple[tuple[str, Field], ...]
    request_description: str
    request: tuple[Content, ...]
    replies: tuple[Reply, ...]

    @property
    def successes(self) -> tuple[Reply, ...]:
        return tuple(reply for reply in self.replies if reply.is_success)

    @property
    def refusals(self) -> tuple[Reply, ...]:
        return tuple(reply for reply in self.replies if not reply.is_success)


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    anchor: str
    title: str
    description: str
    operations: tuple[Operation, ...]


def groups_of(document: Mapping[str, Any]) -> tuple[Group, ...]:
    """The operations of ``document`` under their first tags: tags in the document's order, untagged ones last."""
    reader = SchemaReader(document)
    by_tag: dict[str, list[Operation]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for tag, operation in _operations(document, reader):
        by_tag.setdefault(tag, []).append(operation)
    descriptions = {tag["name"]: str(tag.get("description", "")) for tag in document.get("tags", ())}
    return tuple(
        Group(f"tag-{slug(tag)}", tag, descriptions.get(tag, ""), tuple(operations))
        for tag, operations in by_tag.items()
        if operations
    )


def slug(text: str) -> str:
    """``text`` as part of an anchor: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _operations(document: Mapping[str, Any], reader: SchemaReader) -> Iterator[tuple[str, Operation]]:
    for path, unresolved in document.get("paths", {}).items():
        item = reader.resolve(unresolved)
        for method in _METHODS:
            if method in item:
                node = item[method]
                tag = next(iter(node.get("tags", ())), "Other")
                inherited = {"security": document.get("security", ())}
                parameters = [*item.get("parameters", ()), *node.get("parameters", ())]
                yield tag, _operation(path, method, {**inherited, **node, "parameters": parameters}, reader)


def _operation(path: str, method: str, node: Mapping[str, Any], reader: SchemaReader) -> Operation:
    body = reader.resolve(node.get("requestBody", {}))
    return Operation(
        anchor=f"op-{slug(node.get('operationId') or f'{method}-{path}')}",
        method=method.upper(),
        path=path,
        summary=str(node.get("summary", "")).removesuffix("."),
        description=str(node.get("description", "")),
        access=tuple(
            Access("a bearer token" if scheme == "bearer" else f"{scheme} credentials", tuple(scopes))
            for alternative in node["security"]
            for scheme, scopes in alternative.items()
        ),
        parameters=_parameters(node["parameters"], reader),
        request_description=str(body.get("description", "")),
        request=_contents(body, reader),
        replies=tuple(
            _reply(str(status), reader.resolve(reply), reader) for status, reply in node.get("responses", {}).items()
        ),
    )


def _parameters(nodes: list[Any], reader: SchemaReader) -> tuple[tuple[str, Field], ...]:
    """(where it is sent, field) of each parameter; an operation's own wins over its path's of the same name."""
    found: dict[tuple[str, str], tuple[str, Field]] = {}
    for unresolved in nodes:
        node = reader.resolve(unresolved)
        place = str(node.get("in", ""))
        field = _simple_field(str(node.get("name", "")), node, reader)
        found[place, field.path] = (place, field)
    return tuple(found.values())


def _reply(status: str, node: Mapping[str, Any], reader: SchemaReader) -> Reply:
    headers = tuple(
        _simple_field(name, reader.resolve(header), reader) for name, header in node.get("headers", {}).items()
    )
    return Reply(status, str(node.get("description", "")), headers, _contents(node, reader))


def _simple_field(name: str, node: Mapping[str, Any], reader: SchemaReader) -> Field:
    """A parameter or header as a line of a table."""
    schema = reader.resolve(node.get("schema", {}))
    description = str(node.get("description") or schema.get("description", ""))
    return Field(name, reader.kind(schema), bool(node.get("required")), reader.limits(schema), description)


def _contents(node: Mapping[str, Any], reader: SchemaReader) -> tuple[Content, ...]:
    return tuple(
        Content(kind, reader.tables(media["schema"]) if "schema" in media else (), _examples(kind, media, reader))
        for kind, media in node.get("content", {}).items()
    )


def _examples(media_type: str, media: Mapping[str, Any], reader: SchemaReader) -> tuple[Example, ...]:
    named = [(name, reader.resolve(example)) for name, example in media.get("examples", {}).items()]
    found = [(str(example.get("summary", name)), example.get("value")) for name, example in named]
    if not found and "example" in media:
        found = [("", media["example"])]
    if not found:
        schema = reader.resolve(media.get("schema", {}))
        found = [("", value) for value in schema.get("examples", ())]
    return tuple(Example(title, _as_sent(media_type, value)) for title, value in found)


def _as_sent(media_type: str, value: Any) -> str:
    """JSON bodies as JSON; a text body, such as a form or CSV, as it is."""
    return value if isinstance(value, str) and "json" not in media_type else pretty(value)
