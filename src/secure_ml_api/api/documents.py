"""``/openapi.json`` and ``/docs``: what the server can do, for programs and for people."""

from __future__ import annotations

from threading import Lock
from typing import Any

from flask import Blueprint, Response

from ..models.registry import Registry
from ..wire.json_answer import json_answer
from .docs_page import STYLE_SHA256, render_docs
from .openapi import build_document

_PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_SHA256}'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


class Documents:
    """The document and the page, made again when other models serve."""

    def __init__(self, registry: Registry, max_rows: int, *, show_models: bool) -> None:
        self._registry = registry
        self._max_rows = max_rows
        self._show_models = show_models
        self._lock = Lock()
        self._made: tuple[tuple[str, ...], bytes, str] | None = None

    def current(self) -> tuple[bytes, str]:
        """The document as JSON, and the page as HTML."""
        models = self._registry.serving() if self._show_models else ()
        served = tuple(model.digest for model in models)
        made = self._made
        if made is None or made[0] != served:
            with self._lock:
                document: dict[str, Any] = build_document(models, self._max_rows)
                made = self._made = (served, json_answer(document).body, render_docs(document))
        return made[1], made[2]


def document_routes(documents: Documents) -> Blueprint:
    """The routes; both answers are public."""
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return Response(documents.current()[0], content_type="application/json")

    @routes.get("/docs")
    def docs() -> Response:
        response = Response(documents.current()[1], content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response

    return routes
