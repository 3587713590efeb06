"""The log: every line on stderr is one JSON object, whoever wrote it.

Fields: ``time`` (UTC, RFC 3339), ``level``, ``logger``, ``message``, ``request_id`` while a request is answered and
``trace_id`` when it is traced, then whatever the caller passed as ``extra``, and ``exception`` where there is one.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple

from ..setting_sections import TelemetrySettings
from .client_certificates import ClientCertificate
from .lines import encode, write_line, write_together
from .request_ids import current_request_id
from .trace_context import current_trace_id

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_MAX_PATH_CHARACTERS = 512
# Libraries whose "info" tells an operator nothing about this server.
_TALKATIVE = ("alembic",)

_ACCESS = '"level":"info","logger":"access","message":"request"'

_access_enabled = False
_traced = False


class JsonLines(logging.Handler):
    """Writes each record as one JSON object to stderr; see ``lines`` for what is escaped, shortened and redacted."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_line(fields_of(record))
        except Exception:  # noqa: BLE001 — a record that cannot be formatted must not fail the work that it tells of
            fields = _fields(record.created, record.levelname, record.name)
            write_line({**fields, "message": "a log record could not be formatted", "source": record.pathname})


def configure_logging(telemetry: TelemetrySettings) -> None:
    """Send every log record, Python warning and uncaught exception to stderr as JSON lines.

    For the process that serves; may be called again with other settings, which then hold.
    """
    global _access_enabled, _traced
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, JsonLines)]:
        root.removeHandler(handler)
    root.addHandler(JsonLines())
    root.setLevel(telemetry.log_level.upper())
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread
    _access_enabled, _traced = telemetry.access_log, telemetry.tracing


def capture_stderr() -> None:
    """Turn what Python code prints to ``sys.stderr`` into log lines: gunicorn and libraries print there at times.

    What C code writes to the descriptor itself is out of reach here.
    """
    sys.stderr = _LoggedStream()


class Access(NamedTuple):
    """One request that was answered ``at`` this second of the wall clock.

    ``path`` is without its query, ``request_id`` one that ``request_id_from`` accepts or makes.
    """

    request_id: str
    method: str
    path: str
    route: str
    status: int
    seconds: float
    at: float
    address: str | None
    client_id: str | None = None
    certificate: ClientCertificate | None = None


def log_access(*accesses: Access) -> None:
    """One line for each request, when the settings ask for it.

    A line costs a few microseconds: it does not pass through ``logging``, what is the same in the lines of many
    requests is encoded once, and those of several requests are written at once.
    """
    if _access_enabled:
        write_together(map(_access_line, accesses))


def _access_line(access: Access) -> bytes:
    request_id, method, path, route, status, seconds, at, address, client_id, certificate = access
    # A caller's own id may have the dots of a token, and then has to pass the net for credentials.
    its_id = f'"request_id":"{request_id}"' if "." not in request_id else _members(request_id=request_id)
    told = _told_of_many(method[:16], path[:_MAX_PATH_CHARACTERS], route, status, address, client_id)
    if certificate is not None:
        told += "," + _members(client_certificate=certificate.subject)
    if _traced and (trace_id := current_trace_id.get()) is not None:
        told += f',"trace_id":"{trace_id}"'
    when = f"{_second(int(at))}.{int(at % 1 * 1e6):06d}Z"
    return f'{{"time":"{when}",{_ACCESS},{its_id},"seconds":{seconds:.6f},{told}}}\n'.encode()


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()[:-6]


@lru_cache(maxsize=1024)
def _told_of_many(method: str, path: str, route: str, status: int, address: str | None, client_id: str | None) -> str:  # noqa: PLR0917
    return _members(method=method, path=path, route=route, status=status, address=address, client_id=client_id)


def _members(**fields: Any) -> str:
    """The members of a JSON object, without its braces; escaped and redacted as whole lines are."""
    return encode(fields)[1:-2].decode()


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the line of ``record`` says."""
    fields = _fields(record.created, record.levelname, record.name)
    fields["message"] = record.getMessage()
    request_id = current_request_id.get()
    if request_id is not None:
        fields["request_id"] = request_id
    trace_id = current_trace_id.get()
    if trace_id is not None:
        fields["trace_id"] = trace_id
    fields["pid"] = record.process
    fields.update((key, value) for key, value in record.__dict__.items() if key not in _OWN)
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields


def _fields(created: float, level: str, logger: str) -> dict[str, Any]:
    return {"time": datetime.fromtimestamp(created, UTC), "level": level.lower(), "logger": logger}


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("python").critical("uncaught exception", exc_info=(kind, error, trace))


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


def _log_unraisable(unraisable: Any) -> None:
    error = unraisable.exc_value
    logging.getLogger("python").error("exception ignored in %r", unraisable.object, exc_info=error)


class _LoggedStream(io.TextIOBase):
    """A ``sys.stderr`` whose every line becomes a log record."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                logging.getLogger("stderr").warning("%s", line)
        return len(text)

    def flush(self) -> None:
        """Nothing waits but half a line, which goes with its other half."""
