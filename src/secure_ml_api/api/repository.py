"""The model repository of the Open Inference Protocol: what is there, and what of it serves."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Blueprint, Response, g

from ..inference.services import Services
from ..models.caretaker import Caretaker
from ..models.store import Store
from ..wire.json_answer import json_answer
from .door import read_body, response_of


def repository_routes(services: Services, caretaker: Caretaker, deadline_seconds: float) -> Blueprint:
    """For callers with the scope ``models:admin``."""
    routes = Blueprint("repository", __name__, url_prefix="/v2/repository")

    @routes.post("/index")
    def index() -> Response:
        read_body()
        return response_of(json_answer(caretaker.states()))  # type: ignore[arg-type]

    @routes.post("/models/<model:name>/load")
    def load(name: str) -> Response:
        change("model.load", name, lambda store: store.load(name))
        caretaker.require_serving(name)
        problems = caretaker.problems(name)  # an older version may serve where the newest was refused
        return response_of(json_answer({"name": name, "load": True} | ({"problems": problems} if problems else {})))

    @routes.post("/models/<model:name>/unload")
    def unload(name: str) -> Response:
        change("model.unload", name, lambda store: store.unload(name))
        return response_of(json_answer({"name": name, "unload": True}))

    def change(event: str, name: str, decide: Callable[[Store], object]) -> None:
        read_body()
        outcome = "ok"
        try:
            caretaker.change(name, decide, time.monotonic() + deadline_seconds)
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            services.audit.record(
                event,
                actor=g.visit.principal.client_id,
                outcome=outcome,
                address=g.address,
                request_id=g.request_id,
                model=name,
            )

    return routes
