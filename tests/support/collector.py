"""A collector of spans, as small as one can be: OTLP over HTTP in, a list out."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """``with Collector() as collector: …; collector.spans()``; one with a ``port`` takes the place of another."""

    def __init__(self, port: int = 0) -> None:
        self.is_stuck = False
        """Whether requests are taken and not answered."""
        self.headers: dict[str, str] = {}
        """Of the last request."""
        self._exports: list[Any] = []
        self._ends = Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.is_stuck:
                    collector._ends.wait(60)
                    return
                assert self.path == "/v1/traces"
                collector.headers = dict(self.headers.items())
                collector._exports.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — its name in the base class
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Any]:
        return [
            span
            for export in self._exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resources(self) -> list[dict[str, str]]:
        """The attributes of what sent the spans, once for each request."""
        return [
            {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            for export in self._exports
            for resource in export.resource_spans
        ]
