"""Which formats the rows protocol reads and writes, told by Content-Type and Accept."""

from __future__ import annotations

from werkzeug.http import parse_options_header

from ..errors import NotAcceptable, UnsupportedContent
from .arrow_rows import has_arrow
from .negotiation import ANYTHING, best_of, is_utf_8
from .question import ARROW, CSV, JSON


def row_formats(content_type: str, accept: str) -> tuple[str, str]:
    """The media types of the body and of its answer; raises UnsupportedContent or NotAcceptable."""
    sent = JSON if content_type in {"", JSON} else _sent(content_type)
    return sent, JSON if accept in ANYTHING else _wanted(accept)


def check_rows(content_type: str, accept: str) -> None:
    """Raise UnsupportedContent or NotAcceptable unless both formats are spoken here."""
    row_formats(content_type, accept)


def spoken_formats() -> tuple[str, ...]:
    """The media types that rows and their predictions may have here, the preferred one first."""
    return (JSON, CSV, ARROW) if has_arrow() else (JSON, CSV)


def _sent(content_type: str) -> str:
    kind, options = parse_options_header(content_type)
    kind = kind.lower()
    is_readable = kind in spoken_formats() and (kind == ARROW or is_utf_8(options))
    if not is_readable or (kind == CSV and options.get("header", "present").lower() != "present"):
        spoken = spoken_formats()
        raise UnsupportedContent(f"send one of {', '.join(spoken)}; text in UTF-8, CSV with a header row", spoken)
    return kind


def _wanted(accept: str) -> str:
    best = best_of(spoken_formats(), accept)
    if best is None:
        raise NotAcceptable(f"answers are given as one of {', '.join(spoken_formats())}")
    return best
