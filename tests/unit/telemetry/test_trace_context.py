"""The caller's trace is taken over when it is written as W3C Trace Context says, and otherwise nothing of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.telemetry.trace_context import traceparent_of, tracestate_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"

MALFORMED = {
    "nothing": "",
    "no ids": "00",
    "an unknown trace": f"00-{'0' * 32}-{SPAN}-01",
    "an unknown span": f"00-{TRACE}-{'0' * 16}-01",
    "the forbidden version": f"ff-{TRACE}-{SPAN}-01",
    "more than version 00 has": f"{GOOD}-more",
    "capitals": GOOD.upper(),
    "a short trace id": f"00-{TRACE[1:]}-{SPAN}-01",
    "a long span id": f"00-{TRACE}-{SPAN}0-01",
    "two fields, as a server joins them": f"{GOOD},{GOOD}",
    "spaces": f" {GOOD}",
    "a line end": f"{GOOD}\n",
    "digits of another script": GOOD.replace("4", "٤"),
    "no flags": GOOD[:-3],
    "a later version without end": f"01-{TRACE}-{SPAN}-01-{'a' * 10_000}",
    "a megabyte": "0" * 2**20,
}


def test_the_callers_span_is_read() -> None:
    assert traceparent_of(GOOD) == (int(TRACE, 16), int(SPAN, 16), 1)


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    assert traceparent_of(f"cc-{TRACE}-{SPAN}-01-what-the-future-holds") == traceparent_of(GOOD)


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_traceparent_is_none(header: str) -> None:
    assert traceparent_of(header) is None


@given(st.one_of(st.text(), st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.*)?\Z")))
def test_what_is_read_is_what_was_written(header: str) -> None:
    parent = traceparent_of(header)
    if parent is not None:
        _, trace, span, flags, *_ = header.split("-", 4)
        assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}", parent.flags) == (trace, span, int(flags, 16) & 3)
        assert parent.trace_id
        assert parent.span_id


def test_the_state_keeps_its_order() -> None:
    assert tracestate_of("rojo=00f067aa0ba902b7 , t61@congo=t61rcWkgMzE,") == [
        ("rojo", "00f067aa0ba902b7"),
        ("t61@congo", "t61rcWkgMzE"),
    ]


@pytest.mark.parametrize(
    "header",
    ["a", "A=1", "a=1,a=2", "a=1\n", "a=\u00e9", "a=b=c", "a=" + "b" * 512, ",".join(f"k{n}=1" for n in range(33))],
)
def test_a_malformed_state_is_dropped_whole(header: str) -> None:
    assert tracestate_of(header) == []


@given(st.lists(st.from_regex(r"\A[a-z0-9@_*/-]{1,12}=[ -~]{0,12}\Z"), max_size=6).map(",".join))
def test_opentelemetry_takes_every_state_that_is_read(header: str) -> None:
    from opentelemetry.trace import TraceState

    members = tracestate_of(header)
    assert list(TraceState(members).items()) == members
