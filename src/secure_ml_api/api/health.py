"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

from collections.abc import Callable, Collection

from flask import Blueprint, Response

from ..wire.json_answer import json_answer
from .door import response_of


def health_routes(
    is_ready: Callable[[], bool], troubled: Callable[[], Collection[str]], published: Callable[[], Collection[str]]
) -> Blueprint:
    """Health of the Open Inference Protocol: bodies that satisfy its known clients, 503 when not ready.

    Which models are ``troubled``, any of their versions or files refused by a worker, anyone may ask: only those that
    are ``published`` are named, the others counted, and what is wrong is left to the repository index.
    """
    routes = Blueprint("health", __name__, url_prefix="/v2/health")

    @routes.get("/live")
    def live() -> Response:
        return response_of(json_answer({"live": True}))

    @routes.get("/ready")
    def ready() -> Response:
        ready = is_ready()
        told = {"ready": ready, "live": True} | _detail(troubled(), published())
        response = response_of(json_answer(told, status=200 if ready else 503))
        if not ready:
            response.headers["Retry-After"] = "1"
        return response

    return routes


def _detail(troubled: Collection[str], published: Collection[str]) -> dict[str, int | str]:
    if not troubled:
        return {}
    named = sorted(set(troubled) & set(published))
    which = f" ({', '.join(named)})" if named else ""
    models = f"{len(troubled)} model{'s' if len(troubled) > 1 else ''}{which}"
    detail = f"versions or files of {models} were refused; what served before serves on; see the repository index"
    return {"models_with_problems": len(troubled), "detail": detail}
