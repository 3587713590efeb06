"""Where spans go: to a collector, by a thread of their own, out of a queue that is bounded. Nobody waits for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..setting_sections import TelemetrySettings

log = logging.getLogger(__name__)

_QUEUE_SPANS = 4096  # some 8 MiB; when it is full the oldest go
_BATCH_SPANS = 512
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 5.0


class Collector(SpanExporter):
    """``exporter``, which says in one line that spans do not arrive, and in another that they do again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("the collector takes no spans; they are dropped", extra={"endpoint": self._endpoint})
            self._lost += len(spans)
        elif self._lost:
            log.warning("the collector takes spans again", extra={"endpoint": self._endpoint, "lost": self._lost})
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def to_collector(telemetry: TelemetrySettings) -> SpanProcessor:
    """A queue to the collector that ``telemetry`` names. Starts a thread: for the process that serves, after the fork.

    The standard variables ``OTEL_EXPORTER_OTLP_HEADERS``, ``…_CERTIFICATE``, ``…_CLIENT_KEY``,
    ``…_CLIENT_CERTIFICATE`` and ``…_COMPRESSION`` are the exporter's own.
    """
    # It logs every attempt, a few times a second while the collector is away: ``Collector`` says what matters.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    endpoint = f"{telemetry.otlp_endpoint.rstrip('/')}/v1/traces"
    return BatchSpanProcessor(
        Collector(OTLPSpanExporter(endpoint, timeout=_TIMEOUT_SECONDS), endpoint),
        max_queue_size=_QUEUE_SPANS,
        schedule_delay_millis=_PAUSE_SECONDS * 1000,
        max_export_batch_size=_BATCH_SPANS,
    )
