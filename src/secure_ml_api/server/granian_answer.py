"""Answers through granian: the application's, and the refusals of the server itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..telemetry.logs import Access, log_access
from ..telemetry.metrics import Metrics
from ..telemetry.request_ids import new_request_id
from .error_pages import content_type, problem_body, problem_of
from .granian_inner import Exchange
from .granian_request import Environ

logger = logging.getLogger(__name__)

# Granian adds its own name to an answer that carries none. The field cannot be left out, so it says nothing.
_NOBODY = ("Server", "")
_CLOSE = ("Connection", "close")


class Answers:
    """The application, and what must be known about the worker to answer; ``is_last`` as in ``exchange``."""

    def __init__(self, app: Callable[..., Iterable[bytes]], is_last: Callable[[], bool]) -> None:
        self._app = app
        self._is_last = is_last
        self._metrics = Metrics()

    def serve(self, environ: Environ, exchange: Exchange, *, closes: bool) -> None:
        """Answer by the application; never raises."""
        try:
            status, headers, body = self._run(environ)
            headers.append(_NOBODY)
            if closes or self._is_last():
                headers.append(_CLOSE)
            exchange.response_bytes(status, headers, body)
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self.refuse(environ, exchange, 500)

    def refuse(self, environ: Environ, exchange: Exchange, status: int) -> None:
        """Answer without the application and close the connection; ``environ`` may be all but empty."""
        request_id = new_request_id()
        problem = problem_of(status, has_head=True)
        self._metrics.rejected(problem.reason)
        access = Access(
            request_id=request_id,
            method="",
            path="",
            route="unparsed",
            status=status,
            seconds=0.0,
            at=time.time(),
            address=environ.get("REMOTE_ADDR", "unknown"),
        )
        log_access(access)
        under_v2 = environ.get("PATH_INFO", "").startswith("/v2")
        headers = [
            _CLOSE,
            _NOBODY,
            ("Content-Type", content_type(under_v2=under_v2)),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Request-Id", request_id),
        ]
        if status == 503:
            headers.append(("Retry-After", "1"))
        exchange.response_bytes(status, headers, problem_body(problem, request_id, under_v2=under_v2))

    def _run(self, environ: Environ) -> tuple[int, list[tuple[str, str]], bytes]:
        begun: list[Any] = []
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
            begun[:] = int(status[:3]), list(headers)
            return written.append

        chunks = self._app(environ, start_response)
        try:
            body = b"".join((*written, *chunks))
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = begun
        return status, headers, body
