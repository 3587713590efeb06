"""One request and its answer, in a thread: parse, call the application, write, and say whether to go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi

from ..errors import BodyTooSlow, MalformedBody
from ..telemetry.client_certificates import CLIENT_CERTIFICATE
from ..telemetry.logs import Access, log_access
from ..telemetry.metrics import Metrics
from ..telemetry.request_ids import new_request_id
from .answer import Answer, Body, GivenUp
from .connection import Connection
from .error_pages import error_answer, problem_of
from .host_field import names_its_host
from .plain_answer import whole_answer
from .unreader import HeadTooSlow

logger = logging.getLogger(__name__)

# Gunicorn's complaints that are not 400; their texts quote the request, so none of them is used.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (http_errors.LimitRequestLine, 414),
    (http_errors.LimitRequestHeaders, 431),
    (http_errors.ExpectationFailed, 417),
    (http_errors.UnsupportedTransferCoding, 501),
    (http_errors.InvalidHTTPVersion, 505),
)


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
            refused = _refused(request)
            if refused is None:
                connection.unreader.in_body = True
                return self._serve(request, connection)
            self.refuse(connection, refused)
        return False

    def serve_plain(self, connection: Connection, environ: dict[str, Any]) -> bool:
        """Answer a plain request that has come whole; whether the connection can carry another."""
        try:
            answer, closes = whole_answer(self._app, environ, lambda: connection.closes or self._is_last())
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self.refuse(connection, 500)
            return False
        if not connection.may_answer():
            return False  # its caller has an answer
        try:
            connection.write(answer, patience_seconds=self._write_seconds)
        except OSError as error:
            logger.debug("an answer broke off: %s", type(error).__name__)
            connection.drop_answer()
            return False
        return not closes

    def refuse(self, connection: Connection, status: int, retry_after_seconds: int = 1) -> bool:
        """Answer without the application, as far as the socket takes it at once; the connection must be closed then.

        False, with nothing done, when another thread has begun to answer.
        """
        if not connection.may_answer():
            return False
        request_id = new_request_id()
        problem = problem_of(status, has_head=connection.has_head)
        self._metrics.rejected(problem.reason)
        access = Access(
            request_id=request_id,
            method="",
            path="",
            route="unparsed",
            status=status,
            seconds=0.0,
            at=time.time(),
            address=str(connection.client[0]),
        )
        log_access(access)
        try:
            connection.sock.setblocking(False)
            answer = error_answer(
                problem,
                request_id,
                under_v2=connection.is_under_v2,
                retry_after_seconds=retry_after_seconds,
            )
            connection.sock.send(answer)
        except OSError:
            logger.debug("a refusal could not be sent")
        return True

    def _serve(self, request: Any, connection: Connection) -> bool:
        try:
            return self._answer(request, connection) and self._body_ended(connection)
        except _AnswerBroken as broken:
            logger.debug("an answer broke off: %s", broken)
            connection.drop_answer()
        except GivenUp:
            pass  # its caller has an answer
        except BodyTooSlow:
            self.refuse(connection, 408)
        except MalformedBody:
            self.refuse(connection, 400)
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self.refuse(connection, 500)
        return False

    def _answer(self, request: Any, connection: Connection) -> bool:
        if _wants_close(request):
            request.force_close()
        if connection.was_told_to_continue:
            request._expected_100_continue = False  # noqa: SLF001 — gunicorn would tell it a second time
        answer, environ = wsgi.create(
            request,
            connection.sock,
            connection.client,
            connection.server,
            self._cfg,
            response_class=Answer,
            response_args=(partial(connection.write, patience_seconds=self._write_seconds), self._is_last),
        )
        # To nothing here can be upgraded, and who is asked in vain goes on as if not asked (RFC 9110 section 7.8).
        environ.pop("HTTP_UPGRADE", None)
        if connection.client_certificate is not None:
            environ[CLIENT_CERTIFICATE] = connection.client_certificate
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = answer.body = Body(request, connection.unreader)
        answer.may_answer = connection.may_answer
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
        """Drop what the application left unread of a body that has arrived."""
        try:
            return bool(connection.parser.finish_body(deadline=connection.unreader.deadline))
        except (BodyTooSlow, http_errors.ParseException, OSError):
            return False


def _refused(request: Any) -> int | None:
    """The status for what gunicorn's parser takes and this server does not; None for what is to be answered."""
    if request.version > (1, 1):
        return 505  # gunicorn takes what comes after for the like of it, and answers in the same
    host = None
    for name, value in request.headers:
        if name == "HOST":
            host = value  # there is no second one
        elif name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            return 501  # of the codings that gunicorn takes, none is ever undone
    return None if names_its_host(host, needs_one=request.version >= (1, 1)) else 400


def _wants_close(request: Any) -> bool:
    """Whether ``close`` is among the options of the connection; gunicorn finds it where it is the only one."""
    return any(
        name == "CONNECTION" and any(option.strip(" \t").lower() == "close" for option in value.split(","))
        for name, value in request.headers
    )


class _AnswerBroken(Exception):
    """Part of an answer was sent and the rest cannot be."""
