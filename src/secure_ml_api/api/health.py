"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from ..wire.json_answer import json_answer
from .door import response_of


def health_routes(is_ready: Callable[[], bool]) -> Blueprint:
    """Health of the Open Inference Protocol: bodies that satisfy its known clients, 503 when not ready."""
    routes = Blueprint("health", __name__, url_prefix="/v2/health")

    @routes.get("/live")
    def live() -> Response:
        return response_of(json_answer({"live": True}))

    @routes.get("/ready")
    def ready() -> Response:
        ready = is_ready()
        response = response_of(json_answer({"ready": ready, "live": True}, status=200 if ready else 503))
        if not ready:
            response.headers["Retry-After"] = "1"
        return response

    return routes
