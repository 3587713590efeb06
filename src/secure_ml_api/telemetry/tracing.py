"""Spans of requests and of what they go through, by OpenTelemetry: imported only when tracing is on.

Spans hold names, numbers and ids; never a token, a secret, a value of an input or the text of an error. An exception
is told by the reason of its refusal, or by its class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from uuid import uuid4

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from .. import __version__
from ..errors import Refusal
from ..setting_sections import TelemetrySettings
from .trace_context import KNOWN_FLAGS, traceparent_of, tracestate_of
from .tracing_export import to_collector

__all__ = ["Attributes", "Span", "Tracing"]

Attributes = Mapping[str, str | int | float | bool]

# The master waits three seconds for a worker that stops: what the collector does not take by then is lost.
_FLUSH_SECONDS = 1.5
_LONGEST_ATTRIBUTE = 256

_recorded: ContextVar[Span | None] = ContextVar("recorded", default=None)


class Tracing:
    """The spans of one worker: those before ``start_worker`` are not recorded. Safe to build before a fork.

    ``processor`` makes what spans are handed to when they end.
    """

    def __init__(
        self, telemetry: TelemetrySettings, processor: Callable[[TelemetrySettings], SpanProcessor] = to_collector
    ) -> None:
        self.processor = processor
        self._telemetry = telemetry
        self._provider: TracerProvider | None = None
        self._tracer: Tracer = NoOpTracer()

    def start_worker(self) -> None:
        """After the fork: begin to record. The thread that exports is this process's own."""
        telemetry = self._telemetry
        named = dict(attribute.split("=", 1) for attribute in telemetry.resource_attributes)
        service = {
            "service.name": telemetry.service_name,
            "service.version": __version__,
            "service.instance.id": str(uuid4()),
        }
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(telemetry.trace_sample_ratio)),
            resource=Resource.create({**service, **named}),
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST_ATTRIBUTE),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self.processor(telemetry))
        self._tracer = self._provider.get_tracer("secure_ml_api", __version__)

    def stop_worker(self) -> None:
        """Hand over what has not been exported, as far as the collector takes it in the time that there is."""
        provider, self._provider = self._provider, None
        if provider is None:
            return
        flush = Thread(target=provider.shutdown, name="last spans", daemon=True)
        flush.start()
        flush.join(_FLUSH_SECONDS)

    @staticmethod
    def recorded() -> Span | None:
        """The span of the request that the current thread answers, if it is recorded; asked at every step."""
        return _recorded.get()

    @staticmethod
    def current() -> Span:
        """The innermost span that has begun and not ended here."""
        return get_current_span()

    @contextmanager
    def request(self, traceparent: str | None, tracestate: str | None, began_seconds_ago: float) -> Iterator[Span]:
        """The span of a request to this server, in the trace of its caller or linked to it, as the settings say."""
        caller = _caller(traceparent, tracestate)
        goes_on = caller is not None and self._telemetry.trace_callers == "continue"
        span = self._tracer.start_span(
            "request",
            context=_within(caller) if goes_on and caller is not None else Context(),
            kind=SpanKind.SERVER,
            links=[Link(caller)] if caller is not None and not goes_on else None,
            start_time=time.time_ns() - int(began_seconds_ago * 1e9),
        )
        token = _recorded.set(span if span.is_recording() else None)
        try:
            with _current(span):
                yield span
        finally:
            _recorded.reset(token)

    @contextmanager
    def span(
        self, name: str, *, parent: SpanContext | None = None, links: Sequence[SpanContext] = ()
    ) -> Iterator[Span]:
        """A span under the current one, or under ``parent``; it tells what kind of error leaves it."""
        context = None if parent is None else _within(parent)
        with _current(self._tracer.start_span(name, context=context, links=[Link(link) for link in links])) as span:
            yield span

    def passed(self, name: str, began_ns: int, ended_ns: int) -> None:
        """A span under the current one of what has passed; both ends in nanoseconds of the wall clock."""
        self._tracer.start_span(name, start_time=began_ns).end(ended_ns)

    @contextmanager
    def outgoing(self, name: str) -> Iterator[Mapping[str, str]]:
        """The span of a request that this server makes, and the header field that tells the other side of it."""
        with _current(self._tracer.start_span(name, kind=SpanKind.CLIENT)) as span:
            told = self.header_of(span)
            yield {} if told is None else {"traceparent": told}

    @staticmethod
    def header_of(span: Span) -> str | None:
        """``span`` as ``traceparent`` and ``traceresponse`` write it; None for one that has no id."""
        context = span.get_span_context()
        if not context.is_valid:
            return None
        trace_id, span_id = format_trace_id(context.trace_id), format_span_id(context.span_id)
        return f"00-{trace_id}-{span_id}-{context.trace_flags & KNOWN_FLAGS:02x}"

    @staticmethod
    def answered(span: Span, status: int, request_id: str) -> None:
        """What became of a request: that a caller is refused is no error of the server's."""
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("secure_ml_api.request_id", request_id)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)


@contextmanager
def _current(span: Span) -> Iterator[Span]:
    token = attach(set_span_in_context(span))
    try:
        yield span
    except BaseException as error:
        span.set_attribute("error.type", error.reason if isinstance(error, Refusal) else type(error).__name__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        detach(token)
        span.end()


def _caller(traceparent: str | None, tracestate: str | None) -> SpanContext | None:
    parent = traceparent_of(traceparent)
    if parent is None:
        return None
    state = TraceState(tracestate_of(tracestate))
    return SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(parent.flags), state)


def _within(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), Context())
