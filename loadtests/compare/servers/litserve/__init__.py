"""LitServe: one worker, one server process, its faster queue, no access log, its own batching where it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

from ...exchange import Reply, Request
from ...processes import Start
from ..server import Site, model_environ


class LitServe:
    name = "litserve"
    title = "LitServe"
    packages = ("litserve", "fastapi", "uvicorn", "uvloop", "httptools", "onnxruntime")

    def start(self, site: Site) -> Start:
        command = (str(site.python), str(Path(__file__).with_name("app.py")), str(site.port))
        return Start(command, "/health", model_environ(site), site.directory)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        return Request("/predict", json.dumps({"rows": rows}).encode())

    def classes(self, reply: Reply) -> list[int]:
        classes: list[int] = json.loads(reply.body)["classes"]
        return classes
