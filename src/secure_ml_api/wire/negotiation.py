"""Which content types are read, and which answers the caller takes (RFC 9110 sections 8.3 and 12.5.1)."""

from __future__ import annotations

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from ..errors import NotAcceptable, UnsupportedContent
from .question import BINARY, JSON

FORM = "application/x-www-form-urlencoded"
_ANYTHING = frozenset({"", "*/*", JSON})


def check_json(content_type: str, accept: str) -> None:
    """Raise UnsupportedContent or NotAcceptable unless JSON goes in and JSON comes out."""
    check_content_type(content_type)
    check_accept(accept)


def check_json_or_form(content_type: str, accept: str) -> None:
    """As ``check_json``, for bodies that are JSON whether or not curl declared them as the form that it sends."""
    if content_type != FORM:
        check_content_type(content_type)
    check_accept(accept)


def check_tensors(_: str, accept: str) -> None:
    """Raise NotAcceptable when the caller takes neither JSON nor binary; the request itself tells which."""
    if accept != BINARY:
        check_accept(accept)


def check_content_type(content_type: str) -> None:
    """Raise UnsupportedContent unless the body is declared as JSON in UTF-8, or not declared at all."""
    if content_type in {"", JSON}:
        return
    kind, options = parse_options_header(content_type)
    if kind.lower() != JSON or options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedContent(f"send {JSON}, in UTF-8", (JSON,))


def check_accept(accept: str) -> None:
    """Raise NotAcceptable when the caller takes no JSON."""
    if accept in _ANYTHING:
        return
    # JSON has no parameters (RFC 8259 section 11): a charset that is asked for changes nothing.
    offers = parse_accept_header(accept.replace("q=.", "q=0."))  # as older Java clients write it
    taken = [(kind.partition(";")[0].strip(), quality) for kind, quality in offers]
    if not MIMEAccept(taken).best_match([JSON]):
        raise NotAcceptable(f"answers are given as {JSON}")
