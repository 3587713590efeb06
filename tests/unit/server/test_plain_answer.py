"""The bytes of an answer that is sent whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secure_ml_api.server.plain_answer import UnfitAnswer, whole_answer

Headers = list[tuple[str, str]]


class Told:
    """An application that answers as it was told."""

    def __init__(self, headers: Headers, *chunks: bytes, status: str = "200 OK") -> None:
        self._headers, self._chunks, self._status = headers, chunks, status
        self.closed = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Told:
        start_response(self._status, self._headers)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self.closed = True


def answered(app: Any, *, last: bool = False) -> tuple[dict[str, str], bytes]:
    data, closes = whole_answer(app, {}, lambda: last)
    assert closes is last
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), body


def test_answer_has_the_fields_of_the_application_and_those_between_server_and_client() -> None:
    fields, body = answered(Told([("X-A", "1"), ("Content-Length", "5")], b"he", b"llo"))
    assert body == b"hello"
    assert fields.pop("Date").endswith(" GMT")
    assert fields == {"Connection": "keep-alive", "X-A": "1", "Content-Length": "5"}


def test_last_answer_says_close() -> None:
    assert answered(Told([], b""), last=True)[0]["Connection"] == "close"


def test_length_is_told_where_the_application_did_not() -> None:
    assert answered(Told([], b"he", b"llo"))[0]["Content-Length"] == "5"


def test_what_is_written_comes_before_what_is_returned() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])(b"he")
        return [b"llo"]

    assert answered(app)[1] == b"hello"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_field_that_would_begin_another_one_is_not_sent(value: str) -> None:
    with pytest.raises(UnfitAnswer):
        whole_answer(Told([("X-A", value)], b""), {}, lambda: False)


def test_chunks_are_closed_even_when_they_fail() -> None:
    class Failing(Told):
        def __iter__(self) -> Iterator[bytes]:
            raise RuntimeError

    app = Failing([])
    with pytest.raises(RuntimeError):
        whole_answer(app, {}, lambda: False)
    assert app.closed


@pytest.mark.parametrize("status", ["204 NO CONTENT", "304 NOT MODIFIED"])
def test_answer_that_has_no_body_says_no_length(status: str) -> None:
    data, _ = whole_answer(Told([], status=status), {}, lambda: False)
    assert b"content-length" not in data.lower()
