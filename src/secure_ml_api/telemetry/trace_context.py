"""W3C Trace Context: what a caller's two header fields say, read strictly, and the trace of the current request.

https://www.w3.org/TR/trace-context-2/. Whatever is not written exactly so is taken for absent: a trace is for those who
operate the services, and no reason to refuse a caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

current_trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""Of the request that the current thread answers, while requests are traced; log lines carry it by themselves."""

Outgoing = Callable[[str], AbstractContextManager[Mapping[str, str]]]
"""For an outgoing request: its name → a context to make it in, which gives the header fields to send along."""

KNOWN_FLAGS = 0x03  # sampled, and random trace id

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_PARENT = 256

_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MOST_MEMBERS = 32
_LONGEST_STATE = 512


class TraceParent(NamedTuple):
    """The caller's span, in whose trace the request belongs."""

    trace_id: int
    span_id: int
    flags: int


def traceparent_of(header: str | None) -> TraceParent | None:
    """The caller's span; None without a valid ``traceparent``. Versions to come are read as far as 00 goes."""
    match = _PARENT.fullmatch(header) if header is not None and len(header) <= _LONGEST_PARENT else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5] is not None):
        return None
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    return TraceParent(trace_id, span_id, int(match[4], 16) & KNOWN_FLAGS) if trace_id and span_id else None


def tracestate_of(header: str | None) -> list[tuple[str, str]]:
    """The members of ``tracestate``, in their order; none when it is malformed, or longer than must be passed on."""
    if not header or len(header) > _LONGEST_STATE:
        return []
    members: dict[str, str] = {}
    for part in filter(None, (part.strip(" \t") for part in header.split(","))):
        match = _MEMBER.fullmatch(part)
        if match is None or match[1] in members or len(members) == _MOST_MEMBERS:
            return []
        members[match[1]] = match[2]
    return list(members.items())


@contextmanager
def untraced(_: str) -> Iterator[Mapping[str, str]]:
    """Nothing is traced: an Outgoing that adds no header field."""
    yield {}
