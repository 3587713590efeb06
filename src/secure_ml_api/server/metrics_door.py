"""The metrics port answers ``GET /metrics`` and nothing else; the API port never shows the metrics.

Which port a request came in on is read from the socket that accepted it (``SERVER_PORT`` as gunicorn sets it), so no
header can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..api.problems import PROBLEM_JSON
from ..telemetry.request_ids import request_id_from
from .error_pages import problem_body, problem_of

_DETAIL = "this port answers GET /metrics and nothing else"

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class MetricsDoor:
    """A WSGI application: ``app`` on every port but ``metrics_port``, and there the ``exposition``."""

    def __init__(self, app: Wsgi, metrics_port: int, exposition: Callable[[], tuple[bytes, str]]) -> None:
        self._app = app
        self._metrics_port = str(metrics_port)
        self._exposition = exposition

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["SERVER_PORT"] != self._metrics_port:
            return self._app(environ, start_response)
        request_id = request_id_from(environ.get("HTTP_X_REQUEST_ID"))
        allow: list[tuple[str, str]] = []
        if environ["PATH_INFO"] != "/metrics":
            status, content_type = "404 Not Found", PROBLEM_JSON
            body = problem_body(problem_of(404)._replace(detail=_DETAIL), request_id)
        elif environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, content_type, allow = "405 Method Not Allowed", PROBLEM_JSON, [("Allow", "GET, HEAD")]
            body = problem_body(problem_of(405)._replace(detail=_DETAIL), request_id)
        else:
            status = "200 OK"
            body, content_type = self._exposition()
        start_response(
            status,
            [
                ("Content-Type", content_type),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Request-Id", request_id),
                *allow,
            ],
        )
        return [body]
