"""JSON is read as RFC 8259 has it, and what it costs is bounded before it is parsed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import BodyTooLarge, MalformedBody
from secure_ml_api.wire import json_text
from secure_ml_api.wire.json_text import parts_of, read_json
from support.signatures import IRIS

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(_VALUES, st.booleans())
def test_what_json_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    assert read_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_malformed_body(body: bytes) -> None:
    with suppress(MalformedBody):
        read_json(body)


@given(st.text(st.sampled_from('{}[]",:\\u0d8cDCtrue1eE+-. \ufeff\u00e9'), max_size=60))
def test_anything_like_json_is_a_value_or_a_malformed_body(text: str) -> None:
    with suppress(MalformedBody):
        read_json(text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'[{"x": {"b": 1, "b": 2}}]',
        b'"\\ud800"',
        b'["\\udc00\\ud800"]',
        b'{"\\udfff": 1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"\xef\xbb\xbf{}",
        b"9" * 5000,
        b"-" + b"9" * 5000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"{} {}",
        b"[1,]",
        b"{'a': 1}",
        b"[01]",
        b"[.5]",
        b"[0x10]",
        b"[1]//",
        b'"a\nb"',
        b'"\x00"',
        b"tru",
    ],
    ids=repr,
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_json(body)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert read_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_the_refusal_names_the_place_and_does_not_repeat_the_text() -> None:
    with pytest.raises(MalformedBody, match="line 2, column 1") as caught:
        read_json(b'{"a": 1,\nsecret}')
    assert "secret" not in caught.value.detail


def test_a_duplicate_key_is_not_repeated() -> None:
    with pytest.raises(MalformedBody) as caught:
        read_json(b'{"secret": 1, "secret": 2}')
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("body", [b"[[],[]]", b"[{},{}]", b'{"a":0,"b":1}', b'[{"":0}]'])
def test_lists_objects_and_members_are_counted_before_the_body_is_parsed(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = json.loads(body)
    assert read_json(body, most_parts=3) == value
    monkeypatch.setattr(json_text._DECODER, "decode", lambda _: pytest.fail("the body was parsed"))
    with pytest.raises(BodyTooLarge):
        read_json(body, most_parts=2)


@pytest.mark.parametrize("text", ["[[[[", '{":[{":[', '\\"[[[[', "\\\\", "[\\\\\\", "12:30:00"])
def test_brackets_and_colons_inside_strings_do_not_count(text: str) -> None:
    body = json.dumps([text, text]).encode()
    assert read_json(body, most_parts=1) == [text, text]


@given(_VALUES)
def test_parts_are_counted_exactly(value: Any) -> None:
    body = json.dumps(value).encode()
    parts = _parts(value)
    assert read_json(body, most_parts=parts) == value
    if parts:
        with pytest.raises(BodyTooLarge):
            read_json(body, most_parts=parts - 1)


@pytest.mark.parametrize("tail", [b'"', b"\\", b'\\"', b'"\\', b""])
def test_counting_inside_an_unclosed_string_does_not_backtrack(tail: bytes) -> None:
    with pytest.raises((MalformedBody, BodyTooLarge)):
        read_json(b'[":' + b'\\":' * 200_000 + tail, most_parts=10)


def test_the_bound_leaves_room_for_every_form_of_a_row() -> None:
    most = parts_of(IRIS, max_rows=100)
    row = {name: {"b64": ""} for name in IRIS.column_names}
    body = json.dumps({"signature_name": "", "instances": [row] * 100}).encode()
    assert len(read_json(body, most)["instances"]) == 100


def _parts(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_parts, value))
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_parts, value.values()))
    return 0
