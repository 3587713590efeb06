"""JSON in UTF-8 goes in and out; other wishes are refused, and careless headers are read kindly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import NotAcceptable, UnsupportedContent
from secure_ml_api.wire import negotiation
from secure_ml_api.wire.negotiation import check_accept, check_content_type
from secure_ml_api.wire.row_formats import check_rows

_HEADERS = st.text(max_size=60) | st.text(st.sampled_from("application/json*;q=0.1,charset utf-8'%\"="), max_size=60)


@given(_HEADERS)
def test_any_accept_header_is_taken_or_refused(header: str) -> None:
    with suppress(NotAcceptable):
        check_accept(header)


@given(_HEADERS)
def test_any_content_type_is_taken_or_refused(header: str) -> None:
    with suppress(UnsupportedContent):
        check_content_type(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "*/*",
        "application/json",
        "APPLICATION/JSON",
        "application/*",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8;q=0.3, text/html",
        "text/html, */*;q=0.1",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "*/*;q=0, application/json",
        "text/csv;q=0.9, application/json;q=0.001",
    ],
)
def test_a_caller_who_takes_json_gets_it(header: str) -> None:
    check_accept(header)


@pytest.mark.parametrize(
    "header",
    [
        "text/html",
        "application/json;q=0",
        "application/json;q=0.0, text/html",
        "*/*;q=0",
        "application/json;q=0, */*",
        "application/*;q=0, */*",
        "application/jsonl",
        "application/problem+json",
        "text/*",
    ],
)
def test_a_caller_who_takes_no_json_is_refused(header: str) -> None:
    with pytest.raises(NotAcceptable):
        check_accept(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF8",
        'application/json; charset="UTF-8"',
        "application/json; profile=x",
    ],
)
def test_json_in_utf_8_is_read(header: str) -> None:
    check_content_type(header)


@pytest.mark.parametrize(
    "header", ["application/json; charset=latin-1", "text/json", "application/x-www-form-urlencoded", ";", "secret/x"]
)
def test_other_content_is_refused_with_what_is_read(header: str) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        check_content_type(header)
    assert caught.value.accepted == ("application/json",)
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("check", [check_accept, lambda accept: check_rows("", accept)], ids=["json", "rows"])
def test_an_accept_header_of_many_kilobytes_is_refused_unread(
    check: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    check("text/html, " + " " * 900 + "*/*")
    monkeypatch.setattr(negotiation, "parse_accept_header", lambda _: pytest.fail("the header was parsed"))
    for header in ("a" + " " * 8400 + "a", "application/json" + "," * 985):
        with pytest.raises(NotAcceptable, match="1000 characters"):
            check(header)
