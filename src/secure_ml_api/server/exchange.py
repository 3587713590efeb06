"""One request and its answer, in a thread: parse, call the application, write, and say whether to go on."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from typing import Any

from gunicorn import util
from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi

from ..errors import BodyTooSlow, MalformedBody
from ..telemetry.logs import log_access
from ..telemetry.metrics import Metrics
from ..telemetry.request_ids import new_request_id
from .connection import Connection, HeadTooSlow
from .error_pages import error_answer

logger = logging.getLogger(__name__)

# A body that the application left unread is read to its end when that takes no longer; then the connection goes on.
_LEFTOVER_SECONDS = 5.0

# Gunicorn's complaints that are not 400; their texts quote the request, so none of them is used.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (http_errors.LimitRequestLine, 414),
    (http_errors.LimitRequestHeaders, 431),
    (http_errors.ExpectationFailed, 417),
    (http_errors.UnsupportedTransferCoding, 501),
    (http_errors.InvalidHTTPVersion, 505),
)
_DETAILS = {
    400: "the request is not well-formed HTTP",
    408: "the request did not arrive in time",
    414: "the request line is too long",
    417: "the only expectation that is met is 100-continue",
    431: "the header fields are too long or too many",
    500: "something went wrong here; the operators can find the cause by the request id",
    501: "the only transfer coding that is understood is chunked",
    503: "this worker has all the requests that it can answer in time",
    505: "only HTTP/1.0 and HTTP/1.1 are spoken here",
}
_REASONS = {408: "too_slow", 503: "overloaded", 500: "internal_error"}


class Exchanges:
    """What a worker's threads share: the application, and what they must know about the worker."""

    def __init__(self, cfg: Any, app: Callable[..., Any], write_seconds: float, is_last: Callable[[], bool]) -> None:
        self._cfg = cfg
        self._app = app
        self._write_seconds = write_seconds
        self._is_last = is_last
        self._metrics = Metrics()

    def serve(self, connection: Connection) -> bool:
        """Answer the request that has arrived; whether the connection can carry another."""
        try:
            request = next(connection.parser)
        except HeadTooSlow:
            self.refuse(connection, 408)
        except http_errors.ParseException as error:
            self.refuse(connection, next((status for kind, status in _STATUSES if isinstance(error, kind)), 400))
        except (StopIteration, OSError):
            pass  # the client has gone
        else:
            connection.unreader.in_body = True
            return self._serve(request, connection)
        return False

    def refuse(self, connection: Connection, status: int) -> None:
        """Answer without the application, as far as the socket takes it at once; the connection must be closed then."""
        request_id = new_request_id()
        self._metrics.rejected(_REASONS.get(status, "bad_request"))
        log_access(
            request_id=request_id,
            method="",
            path="",
            route="unparsed",
            status=status,
            seconds=0.0,
            address=str(connection.client[0]),
        )
        try:
            connection.sock.setblocking(False)
            connection.sock.send(error_answer(status, _DETAILS[status], request_id, under_v2=connection.is_under_v2))
        except OSError:
            logger.debug("a refusal could not be sent")

    def _serve(self, request: Any, connection: Connection) -> bool:
        try:
            return self._answer(request, connection) and self._body_ended(connection)
        except _AnswerBroken as broken:
            logger.debug("an answer broke off: %s", broken)
        except BodyTooSlow:
            self.refuse(connection, 408)
        except MalformedBody:
            self.refuse(connection, 400)
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self.refuse(connection, 500)
        return False

    def _answer(self, request: Any, connection: Connection) -> bool:
        answer, environ = wsgi.create(
            request,
            connection.sock,
            connection.client,
            connection.server,
            self._cfg,
            response_class=Answer,
            response_args=(self._write_seconds, self._is_last),
        )
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = Body(environ["wsgi.input"])
        environ["secure_ml_api.arrived_at"] = connection.arrived_at
        try:
            chunks = self._app(environ, answer.start_response)
            try:
                for chunk in chunks:
                    answer.write(chunk)
                answer.close()
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except Exception as error:
            if answer.is_on_the_wire:
                raise _AnswerBroken(type(error).__name__) from error
            raise
        return not answer.should_close()

    @staticmethod
    def _body_ended(connection: Connection) -> bool:
        connection.unreader.deadline = min(connection.unreader.deadline, time.monotonic() + _LEFTOVER_SECONDS)
        try:
            return bool(connection.parser.finish_body(deadline=connection.unreader.deadline))
        except (BodyTooSlow, http_errors.ParseException, OSError):
            return False


class _AnswerBroken(Exception):
    """Part of an answer was sent and the rest cannot be."""


class Answer(wsgi.Response):  # type: ignore[misc]
    """Gunicorn's response without its name in it, sent as one packet when it is short, to clients that take it."""

    headers_sent: bool

    def __init__(self, request: Any, sock: Any, cfg: Any, write_seconds: float, is_last: Callable[[], bool]) -> None:
        super().__init__(request, sock, cfg)
        self._write_seconds = write_seconds
        self._is_last = is_last
        self._held = b""

    @property
    def is_on_the_wire(self) -> bool:
        return self.headers_sent and not self._held

    def should_close(self) -> bool:
        # Where the next request begins is unknown after a body that could not be read.
        return self.req.body.failed or bool(super().should_close())

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def send_headers(self) -> None:
        """Hold the header block back until the first bytes of the body, or the end, go with it."""
        if self.headers_sent:
            return
        if self._is_last():  # asked as late as can be: the server may have been told to stop meanwhile
            self.force_close()
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
        self._held = "".join(lines).encode("latin-1")
        self.headers_sent = True

    def close(self) -> None:
        super().close()
        if self._held:
            self._emit(b"")

    def _emit_body(self, data: bytes) -> None:
        self._emit(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _emit(self, data: bytes) -> None:
        held, self._held = self._held, b""
        self.sock.settimeout(self._write_seconds)
        try:
            util.write(self.sock, held + data)
        except OSError as error:
            raise _AnswerBroken(type(error).__name__) from error


class Body(io.RawIOBase):
    """Gunicorn's body, whose complaints are refusals that the application knows how to answer."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes; raises MalformedBody for bad chunks or an early end, BodyTooSlow at the deadline."""
        data: bytes = self._read(self._body.read, size)
        return data

    def readline(self, size: int | None = -1) -> bytes:
        line: bytes = self._read(self._body.readline, size)
        return line

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @staticmethod
    def _read(read: Callable[[int | None], Any], size: int | None) -> Any:
        try:
            return read(size)
        except (http_errors.ParseException, OSError) as error:  # bad chunks, or the client has gone
            raise MalformedBody("the body is not framed as HTTP frames a body") from error
