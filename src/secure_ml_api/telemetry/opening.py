"""Tracing as the settings ask for it: none, and nothing imported, unless they do."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..setting_sections import TelemetrySettings

if TYPE_CHECKING:
    from .tracing import Tracing

# The second is what the extra brings beyond what other programs in the same environment may have brought.
_NEEDED = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.exporter.otlp.proto.http")


def open_tracing(telemetry: TelemetrySettings) -> Tracing | None:
    """Tracing that begins with ``start_worker``, or None when it is off; raises as ``require_opentelemetry``."""
    if not telemetry.tracing:
        return None
    require_opentelemetry(telemetry)
    from .tracing import Tracing

    return Tracing(telemetry)


def require_opentelemetry(telemetry: TelemetrySettings) -> None:
    """Raise SettingsError when requests are to be traced and the extra for it is not installed."""
    if telemetry.tracing and not _is_installed():
        raise SettingsError('telemetry.tracing: OpenTelemetry is not installed; pip install "secure-ml-api[otel]"')


def _is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:  # of a parent
        return False
