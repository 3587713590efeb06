"""JSON Schemas as tables for people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secure_ml_api.api.docs_schemas import SchemaReader, pretty

NODE = {
    "components": {
        "schemas": {
            "Tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}}},
            "Loop": {"$ref": "#/components/schemas/Pool"},
            "Pool": {"$ref": "#/components/schemas/Loop"},
            "Size": {"type": "integer", "minimum": 1},
            "odd/name~x": {"type": "boolean"},
        }
    }
}


@pytest.fixture
def reader() -> SchemaReader:
    return SchemaReader(NODE)


def _paths(reader: SchemaReader, schema: Any) -> list[str]:
    return [field.path for table in reader.tables(schema) for field in table.fields]


def test_nested_fields_get_dotted_paths(reader: SchemaReader) -> None:
    tensor = {"type": "object", "properties": {"name": {"type": "string"}, "shape": {"type": "array"}}}
    schema = {"type": "object", "properties": {"inputs": {"type": "array", "items": tensor}}}
    assert _paths(reader, schema) == ["inputs", "inputs[].name", "inputs[].shape"]


def test_a_schema_that_contains_itself_is_shown_once(reader: SchemaReader) -> None:
    assert _paths(reader, {"$ref": "#/components/schemas/Tree"}) == ["left"]


def test_references_in_a_circle_end(reader: SchemaReader) -> None:
    assert reader.kind({"$ref": "#/components/schemas/Loop"}) == "anything"


def test_a_reference_that_leads_nowhere_is_anything(reader: SchemaReader) -> None:
    assert reader.kind({"$ref": "#/components/schemas/Gone"}) == "anything"
    assert reader.kind({"$ref": "elsewhere.json#/Size"}) == "anything"


def test_escaped_references_are_unescaped(reader: SchemaReader) -> None:
    assert reader.kind({"$ref": "#/components/schemas/odd~1name~0x"}) == "boolean"


def test_what_stands_beside_a_reference_wins(reader: SchemaReader) -> None:
    assert reader.resolve({"$ref": "#/components/schemas/Size", "minimum": 5})["minimum"] == 5


def test_the_forms_of_a_body_are_tables_of_their_own(reader: SchemaReader) -> None:
    schema = {"oneOf": [{"title": "One", "properties": {"a": {}}}, {"title": "Many", "properties": {"b": {}}}]}
    assert [(table.title, [f.path for f in table.fields]) for table in reader.tables(schema)] == [
        ("One", ["a"]),
        ("Many", ["b"]),
    ]


def test_all_of_lays_its_parts_over_each_other(reader: SchemaReader) -> None:
    schema = {
        "allOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"$ref": "#/components/schemas/Size"}}, "required": ["b"]},
        ]
    }
    (table,) = reader.tables(schema)
    assert {(field.path, field.kind, field.required) for field in table.fields} == {
        ("a", "string", True),
        ("b", "integer", True),
    }


def test_a_tuple_names_each_of_its_places(reader: SchemaReader) -> None:
    row = {"type": "array", "prefixItems": [{"type": "number", "minimum": 0}, {"type": "string"}], "items": False}
    (table,) = reader.tables({"properties": {"features": row}})
    assert [field.path for field in table.fields] == ["features", "features[0]", "features[1]"]
    assert table.fields[1].limits == ("≥ 0",)


def test_free_keys_are_shown_as_a_star(reader: SchemaReader) -> None:
    assert _paths(reader, {"properties": {"labels": {"additionalProperties": {"type": "string"}}}}) == [
        "labels",
        "labels.*",
    ]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"type": ["integer", "null"]}, "integer or null"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "list of list of number"),
        ({"const": True}, "true"),
        ({"enum": ["a", "b"]}, "anything"),
        (True, "anything"),
        ({}, "anything"),
    ],
)
def test_types_are_told_in_words(reader: SchemaReader, schema: Any, kind: str) -> None:
    assert reader.kind(schema) == kind


@pytest.mark.parametrize(
    ("schema", "limits"),
    [
        ({"minimum": 0.0, "exclusiveMaximum": 10}, ("≥ 0", "< 10")),
        ({"minItems": 4, "maxItems": 4}, ("exactly 4 items",)),
        ({"minItems": 0, "maxItems": 4}, ("at least 0 items", "at most 4 items")),
        ({"enum": ["a", 1]}, ('one of "a", 1',)),
        ({"default": False}, ("default false",)),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, ("≥ 1",)),
        ({"type": "array", "items": {"enum": ["x"]}}, ('each one of "x"',)),
    ],
)
def test_limits_are_told_in_words(reader: SchemaReader, schema: Any, limits: tuple[str, ...]) -> None:
    assert reader.limits(schema) == limits


@pytest.mark.parametrize(
    "value",
    [{}, [], 1.5, "täxt", [1] * 200, {"a": [[1.0, 2.0]] * 30, "b": {"c": ["word" * 10] * 4}}, {"a" * 80: None}],
)
def test_pretty_json_is_the_same_json(value: Any) -> None:
    assert json.loads(pretty(value)) == value


def test_a_long_row_of_numbers_stays_on_one_line() -> None:
    assert "\n" not in pretty([0.5] * 100)
