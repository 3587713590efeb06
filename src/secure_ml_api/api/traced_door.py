"""The span of a request, around both doors; and what makes an application of ours a traced one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from ..telemetry.trace_context import current_trace_id
from .door import route_template
from .lane import AFTERWARDS, ARRIVED_AT, Environ, StartResponse, Wsgi, route_of

if TYPE_CHECKING:
    from ..telemetry.tracing import Span, Tracing

# Asked every few seconds by whoever watches over the server, and never what a trace is looked up for.
_UNTRACED = "/v2/health/"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install_tracing(app: Flask, tracing: Tracing) -> None:
    """Put a span around every request that ``app`` answers, once all its routes and doors are there."""
    app.wsgi_app = TracedDoor(app.wsgi_app, tracing)  # type: ignore[method-assign]

    @app.after_request
    def tell_route(response: Response) -> Response:
        span = tracing.recorded()
        if span is not None and request.url_rule is not None:
            _tell_route(span, request.method, route_template(request.url_rule.rule))
        return response


class TracedDoor:
    """A WSGI application around the one ``behind`` it, whose answers tell their trace as ``traceresponse``."""

    def __init__(self, behind: Wsgi, tracing: Tracing) -> None:
        self.behind = behind
        self._tracing = tracing

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(_UNTRACED):
            return self.behind(environ, start_response)
        get = environ.get
        arrived_at = get(ARRIVED_AT)
        ago = 0.0 if arrived_at is None else time.monotonic() - arrived_at
        with self._tracing.request(get("HTTP_TRACEPARENT"), get("HTTP_TRACESTATE"), ago) as span:
            told = self._tracing.header_of(span)
            token = current_trace_id.set(None if told is None else told[3:35])
            try:
                if span.is_recording():
                    _tell_request(span, environ)
                if AFTERWARDS in environ:  # what is logged then is about this request still
                    environ[AFTERWARDS] = partial(_in_this_context, environ[AFTERWARDS])
                return self.behind(environ, self._told(start_response, span, told))
            finally:
                current_trace_id.reset(token)

    def _told(self, start_response: StartResponse, span: Span, told: str | None) -> StartResponse:
        """``start_response``, with the trace in the answer and the answer in the trace."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if span.is_recording():
                request_id = next((value for name, value in headers if name == "X-Request-Id"), "")
                self._tracing.answered(span, int(status[:3]), request_id)
            return start_response(status, headers if told is None else [*headers, ("traceresponse", told)], *more)

        return start


def _tell_request(span: Span, environ: Environ) -> None:
    method = environ["REQUEST_METHOD"]
    known = method if method in _METHODS else "_OTHER"
    span.set_attribute("http.request.method", known)
    span.update_name(known if known is method else "HTTP")
    route = route_of(environ["PATH_INFO"]) if method == "POST" else None
    if route is not None:
        _tell_route(span, method, route.template)


def _tell_route(span: Span, method: str, route: str) -> None:
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


def _in_this_context(afterwards: Any, seen: Any) -> None:
    afterwards(partial(copy_context().run, seen))
