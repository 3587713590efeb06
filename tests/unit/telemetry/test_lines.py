"""One log line: valid JSON, one line, short, and without anything that bites."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secure_ml_api.telemetry.lines import MAX_LINE_BYTES, encode

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), anything))
@example({"": {"TOKEN": -1234567.5}})
@example({"message": '{"token":1234567}'})
def test_whatever_is_logged_is_one_json_object_on_one_line(fields: dict[str, object]) -> None:
    line = encode(fields)
    assert isinstance(json.loads(line), dict)
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Zl", "Zp"]), min_size=1))
def test_control_and_direction_characters_are_escaped(text: str) -> None:
    shown = encode({"message": text}).decode().rstrip("\n")
    assert not any(character in shown for character in "\x1b\x7f\x9b\u2028\u2029\u202e\u2066\r\n\x00")
    assert json.loads(shown)["message"] == text


@pytest.mark.parametrize("value", ["x" * 100_000, "\x00" * 50_000, ["part"] * 50_000, "é\U0001f600" * 20_000])
def test_long_line_is_shortened_until_a_pipe_takes_it_whole(value: object) -> None:
    line = encode({"message": "kept", "value": value})
    assert len(line) <= MAX_LINE_BYTES
    assert json.loads(line)["message"] == "kept"


def test_too_many_fields_leave_the_ones_that_every_line_has() -> None:
    line = encode({"message": "kept", "request_id": "abc", **{f"field{number}": "x" * 60 for number in range(500)}})
    assert json.loads(line) == {"message": "kept", "request_id": "abc"}


def test_end_of_a_traceback_survives_shortening() -> None:
    line = encode({"exception": "Traceback\n" + "  File\n" * 5000 + "ValueError: the cause"})
    assert json.loads(line)["exception"].endswith("ValueError: the cause")


_JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {_JWT}", _JWT),
        ("authorization=Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("{'Authorization': 'Bearer opaque-token-text'}", "opaque-token-text"),
        (f"the path /v1/{_JWT} was asked for", _JWT),
        ("client_secret=s3cr3t-of-the-client&scope=x", "s3cr3t-of-the-client"),
        ('{"client_secret": "s3cr3t-of-the-client"}', "s3cr3t-of-the-client"),
        ("access_token: 'opaque-token-text'", "opaque-token-text"),
        ("password=hunter2-hunter2", "hunter2-hunter2"),
        ("cannot connect to postgresql+psycopg://api:hunter2@db/api", "hunter2"),
        ("cannot connect to redis://:hunter2@cache:6379", "hunter2"),
    ],
)
def test_credentials_are_redacted_wherever_they_stand(text: str, secret: str) -> None:
    for fields in ({"message": text}, {"nested": {"headers": [text]}}):
        line = encode(fields).decode()
        assert secret not in line
        assert "[redacted]" in line


def test_words_about_tokens_are_not_redacted() -> None:
    text = "the token is expired; token_type Bearer, tokens: 3, secret rotated"
    assert json.loads(encode({"message": text, "reason": "token_refused"})) == {
        "message": text,
        "reason": "token_refused",
    }
