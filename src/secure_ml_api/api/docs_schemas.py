"""JSON Schemas → tables that people read: one line per field, nested fields under a dotted path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Deeper fields are left to the machine-readable document; a table of more levels than this is read by nobody.
_MAX_DEPTH = 6
_COMPACT_WIDTH = 72

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table; ``path`` is dotted, with ``[]`` for any item of a list and ``*`` for any other key."""

    path: str
    kind: str
    required: bool
    limits: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """One form that a body may have; ``fields`` is empty when the body is no object and has no parts to name."""

    title: str
    kind: str
    description: str
    limits: tuple[str, ...]
    fields: tuple[Field, ...]


class SchemaReader:
    """Reads the schemas of one OpenAPI document, following its ``$ref``s."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def resolve(self, node: Any) -> dict[str, Any]:
        """``node`` with the ``$ref`` on its top followed; what stands beside the reference wins over its target.

        A reference that leads nowhere, or round in a circle, resolves to what stands beside it.
        """
        seen: set[str] = set()
        resolved = dict(node) if isinstance(node, Mapping) else {}
        while isinstance(reference := resolved.pop("$ref", None), str) and reference not in seen:
            seen.add(reference)
            resolved = {"title": reference.rpartition("/")[2], **self._target(reference), **resolved}
        return resolved

    def tables(self, schema: Any) -> tuple[Table, ...]:
        """One table for each form that ``schema`` allows, in its order."""
        node = self._merged(schema)
        forms = _alternatives(node)
        if forms:
            return tuple(table for form in forms for table in self.tables(form))
        title, description = str(node.get("title", "")), str(node.get("description", ""))
        fields = tuple(self._fields(schema, "", frozenset(), 0))
        return (Table(title, self.kind(node), description, self.limits(node), fields),)

    def kind(self, schema: Any) -> str:
        """The type of ``schema`` in words: ``list of number``, ``string or null``."""
        return self._kind(schema, 0)

    def limits(self, schema: Any) -> tuple[str, ...]:
        """What ``schema`` demands beyond its type, in words; of a list also what it demands of each item."""
        node = self._merged(schema)
        found = _limits(node)
        for form in map(self._merged, _alternatives(node)):
            found += _limits(form)
        if isinstance(node.get("items"), Mapping):
            found += [f"each {limit}" for limit in _limits(self._merged(node["items"]))]
        return tuple(dict.fromkeys(found))

    def _kind(self, schema: Any, depth: int) -> str:
        node = self._merged(schema)
        if depth > _MAX_DEPTH:
            return "anything"
        if forms := _alternatives(node):
            return " or ".join(dict.fromkeys(self._kind(form, depth + 1) for form in forms))
        if "const" in node:
            return json.dumps(node["const"], ensure_ascii=False)
        named = node.get("type", _type_by_its_parts(node))
        names = [named] if isinstance(named, str) else list(named)
        return " or ".join(self._name(name, node, depth) for name in names)

    def _name(self, name: str, node: Json, depth: int) -> str:
        match name:
            case "array" if isinstance(node.get("items"), Mapping) and not node.get("prefixItems"):
                return f"list of {self._kind(node['items'], depth + 1)}"
            case "array":
                return "list"
            case "string":
                return f"string ({node['format']})" if node.get("format") else "string"
            case _:
                return name

    def _fields(self, schema: Any, path: str, above: frozenset[str], depth: int) -> Iterator[Field]:
        """The fields inside ``schema``, which stands at ``path``; ``above`` are the references that led here."""
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if depth > _MAX_DEPTH or reference in above:
            return
        if isinstance(reference, str):
            above |= {reference}
        node = self._merged(schema)
        for form in _alternatives(node):
            yield from self._fields(form, path, above, depth)
        required = node.get("required", ())
        for name, part in node.get("properties", {}).items():
            yield from self._field(part, f"{path}.{name}" if path else name, name in required, above, depth)
        if isinstance(others := node.get("additionalProperties"), Mapping) and others:
            yield from self._field(others, f"{path}.*" if path else "*", False, above, depth)
        for index, part in enumerate(node.get("prefixItems", ())):
            yield from self._field(part, f"{path}[{index}]", True, above, depth)
        if isinstance(items := node.get("items"), Mapping):
            yield from self._fields(items, f"{path}[]", above, depth + 1)

    def _field(self, part: Any, path: str, required: bool, above: frozenset[str], depth: int) -> Iterator[Field]:
        node = self._merged(part)
        yield Field(path, self.kind(node), required, self.limits(node), str(node.get("description", "")))
        yield from self._fields(part, path, above, depth + 1)

    def _merged(self, schema: Any) -> dict[str, Any]:
        """``schema`` resolved, with the parts of its ``allOf`` laid over each other."""
        node = self.resolve(schema)
        for part in node.pop("allOf", ()):
            other = self._merged(part)
            properties = {**other.get("properties", {}), **node.get("properties", {})}
            required = [*other.get("required", ()), *node.get("required", ())]
            node = {**other, **node, **({"properties": properties, "required": required} if properties else {})}
        return node

    def _target(self, reference: str) -> dict[str, Any]:
        node: Any = self._document
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, Mapping) else {}
        return dict(node) if isinstance(node, Mapping) else {}


def _limits(node: Json) -> list[str]:
    phrases = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
        "multipleOf": "a multiple of {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "pattern": "matches {}",
        "minItems": "at least {} items",
        "maxItems": "at most {} items",
    }
    if node.get("minItems") == node.get("maxItems") is not None:
        phrases = {key: words for key, words in phrases.items() if key != "minItems"} | {"maxItems": "exactly {} items"}
    found = [words.format(_plain(node[key])) for key, words in phrases.items() if node.get(key) is not None]
    if isinstance(choices := node.get("enum"), list):
        found.append("one of " + ", ".join(json.dumps(choice, ensure_ascii=False) for choice in choices))
    if node.get("default") not in (None, [], {}):
        found.append(f"default {json.dumps(node['default'], ensure_ascii=False)}")
    return found


def pretty(value: Any, indent: int = 0) -> str:
    """``value`` as JSON, each part on one line where it fits: 30 numbers are one line and not thirty."""
    compact = json.dumps(value, ensure_ascii=False)
    if len(compact) + indent <= _COMPACT_WIDTH or not isinstance(value, dict | list) or not value or _is_flat(value):
        return compact
    margin = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(part, indent + 2)}" for key, part in value.items()]
        return "{\n" + ",\n".join(margin + part for part in parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(margin + pretty(part, indent + 2) for part in value) + "\n" + " " * indent + "]"


def _plain(bound: Any) -> Any:
    """0.0 as 0: whether a bound was written as a float says nothing about what it bounds."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _is_flat(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(part, dict | list | str) for part in value)


def _alternatives(node: Json) -> list[Any]:
    return [*node.get("oneOf", ()), *node.get("anyOf", ())]


def _type_by_its_parts(node: Json) -> str:
    if "properties" in node or "additionalProperties" in node:
        return "object"
    return "array" if "items" in node or "prefixItems" in node else "anything"
