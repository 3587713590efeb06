"""What the log says, and that everything that is said reaches it as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from secure_ml_api.setting_sections import TelemetrySettings
from secure_ml_api.telemetry import logs
from secure_ml_api.telemetry.lines import MAX_LINE_BYTES
from secure_ml_api.telemetry.logs import Access, capture_stderr, configure_logging, log_access
from secure_ml_api.telemetry.request_ids import current_request_id


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process as it was: logging, hooks and stderr belong to all tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (sys, "stderr"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    monkeypatch.setattr(logs, "_access_enabled", False)
    yield
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level


class Lines:
    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capfd.readouterr().err.splitlines()]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    configure_logging(TelemetrySettings())
    return Lines(capfd)


def test_record_is_a_json_object_with_time_level_logger_message_and_extras(lines: Lines) -> None:
    logging.getLogger("room").warning("model %s refused", "iris", extra={"model": "iris", "rows": 3})
    (line,) = lines()
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["message"]) == ("warning", "room", "model iris refused")
    assert (line["model"], line["rows"]) == ("iris", 3)


def test_request_id_of_the_moment_is_in_the_line(lines: Lines) -> None:
    current_request_id.set("abc")
    logging.getLogger("room").warning("one")
    current_request_id.set(None)
    logging.getLogger("room").warning("two")
    one, two = lines()
    assert one["request_id"] == "abc"
    assert "request_id" not in two


def test_message_with_a_line_break_stays_one_line(lines: Lines) -> None:
    logging.getLogger("room").warning('forged\n{"level":"info","message":"all is well"}')
    assert len(lines()) == 1


def test_exception_is_told_in_the_same_line(lines: Lines) -> None:
    try:
        raise ValueError("the cause")
    except ValueError:
        logging.getLogger("room").exception("it failed")
    (line,) = lines()
    assert line["exception"].strip().endswith("ValueError: the cause")


def test_record_that_cannot_be_formatted_is_named_and_raises_nothing(lines: Lines) -> None:
    logging.getLogger("room").warning("%d", "not a number")
    (line,) = lines()
    assert "could not be formatted" in line["message"]


def test_level_of_the_settings_holds(lines: Lines) -> None:
    configure_logging(TelemetrySettings(log_level="error"))
    logging.getLogger("room").warning("too low")
    logging.getLogger("room").error("high enough")
    assert [line["message"] for line in lines()] == ["high enough"]


def test_configuring_twice_writes_each_line_once(lines: Lines) -> None:
    configure_logging(TelemetrySettings())
    logging.getLogger("room").warning("once")
    assert len(lines()) == 1


def test_python_warnings_are_log_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "an old way" in line["message"]


def test_uncaught_exception_of_a_thread_is_a_log_line(lines: Lines) -> None:
    arguments = threading.ExceptHookArgs((ValueError, ValueError("of a thread"), None, None))
    threading.excepthook(arguments)
    (line,) = lines()
    assert (line["level"], "of a thread" in line["exception"]) == ("critical", True)


def test_what_is_printed_to_stderr_becomes_log_lines(lines: Lines) -> None:
    capture_stderr()
    sys.stderr.write("first\nsec")
    sys.stderr.write("ond\n\n")
    assert [line["message"] for line in lines()] == ["first", "second"]


def test_access_line_tells_the_request(lines: Lines) -> None:
    request: dict[str, Any] = {"request_id": "abc", "method": "POST", "path": "/v1/x", "route": "/v1/<name>"}
    log_access(Access(**request, status=200, seconds=0.0012345, at=0.25, address="127.0.0.1", client_id="c"))
    (line,) = lines()
    assert request.items() <= line.items()
    assert (line["status"], line["seconds"], line["client_id"]) == (200, 0.001234, "c")
    assert line["time"] == "1970-01-01T00:00:00.250000Z"


def test_request_id_in_the_shape_of_a_token_is_redacted_in_the_access_line(lines: Lines) -> None:
    request: dict[str, Any] = {"method": "POST", "path": "/p", "route": "/p", "status": 200, "at": 0, "address": None}
    log_access(Access(request_id="eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln", seconds=0, **request))
    log_access(Access(request_id="build.17", seconds=0, **request))
    assert [line["request_id"] for line in lines()] == ["[redacted]", "build.17"]


def test_lines_of_many_requests_are_written_whole_and_few_at_a_time(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write = os.write

    def writes(to: int, data: bytes) -> int:
        written.append(data)
        return write(to, data)

    monkeypatch.setattr(os, "write", writes)
    log_access(*[Access(f"r{number}", "POST", "/p" * 100, "/p", 200, 0, 0, None) for number in range(40)])
    assert [line["request_id"] for line in lines()] == [f"r{number}" for number in range(40)]
    assert all(len(each) <= MAX_LINE_BYTES and each.endswith(b"}\n") for each in written)
    assert len(written) < 20


def test_access_lines_are_off_when_the_settings_say_so(lines: Lines) -> None:
    configure_logging(TelemetrySettings(access_log=False))
    log_access(Access("a", "GET", "/", "/", 200, 0, 0, None))
    assert lines() == []


def test_method_and_path_of_a_caller_are_bounded(lines: Lines) -> None:
    log_access(Access("a", "X" * 99, "/" * 9999, "", 404, 0, 0, None))
    (line,) = lines()
    assert (len(line["method"]), len(line["path"])) == (16, 512)
