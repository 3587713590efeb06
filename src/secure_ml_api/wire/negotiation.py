"""Which content types are read, and which answers the caller takes (RFC 9110 sections 8.3 and 12.5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from ..errors import NotAcceptable, UnsupportedContent
from .question import BINARY, JSON

FORM = "application/x-www-form-urlencoded"
# What callers send who take whatever comes.
ANYTHING = frozenset({"", "*/*", JSON})
# Browsers send some 200. What is parsed costs the square of its length, and a header field may have 8800.
LONGEST_WISH = 1000


def check_json_or_form(content_type: str, accept: str) -> None:
    """Raise UnsupportedContent or NotAcceptable unless JSON goes in and out; as a form it is what curl declares."""
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
    if kind.lower() != JSON or not is_utf_8(options):
        raise UnsupportedContent(f"send {JSON}, in UTF-8", (JSON,))


def check_accept(accept: str) -> None:
    """Raise NotAcceptable when the caller takes no JSON."""
    if accept not in ANYTHING and best_of([JSON], accept) is None:
        raise NotAcceptable(f"answers are given as {JSON}")


def is_utf_8(options: Mapping[str, str]) -> bool:
    """Whether a content type's parameters say UTF-8, or nothing."""
    return options.get("charset", "utf-8").lower() in {"utf-8", "utf8"}


def best_of(offers: Sequence[str], accept: str) -> str | None:
    """The one of ``offers`` that the caller likes best, the first of equals; None when it takes none of them.

    Raises NotAcceptable for an Accept header of more than LONGEST_WISH characters, unread.
    """
    if len(accept) > LONGEST_WISH:
        raise NotAcceptable(f"an Accept header of more than {LONGEST_WISH} characters is not read")
    # JSON has no parameters (RFC 8259 section 11): a charset that is asked for changes nothing.
    asked = parse_accept_header(accept.replace("q=.", "q=0."))  # as older Java clients write it
    taken = [(kind.partition(";")[0].strip(), quality) for kind, quality in asked]
    return MIMEAccept(taken).best_match(offers)
