"""An application in this process whose spans end up in a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from .application import Application


class TracedApplication(Application):
    """``with TracedApplication(home) as application: …; application.spans()``."""

    def __init__(self, home: Path, *, telemetry: dict[str, Any] | None = None, **sections: dict[str, Any]) -> None:
        super().__init__(home, telemetry={"tracing": True, "trace_sample_ratio": 1.0, **(telemetry or {})}, **sections)
        self.memory = InMemorySpanExporter()
        assert self.house.tracing is not None
        self.house.tracing.processor = lambda _: SimpleSpanProcessor(self.memory)

    def spans(self) -> dict[str, ReadableSpan]:
        """Those that ended since they were asked for last, by name; of those with the same name the last."""
        ended = self.memory.get_finished_spans()
        self.memory.clear()
        return {span.name: span for span in ended}
