"""FastAPI under uvicorn: uvloop, httptools, one worker, no access log, a coroutine that runs the model in place.

In place is the fastest for a model of microseconds: a plain ``def`` would pay for a thread with every request.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...exchange import Reply, Request
from ...processes import Start
from ..server import Site, model_environ


class FastApi:
    name = "fastapi"
    title = "FastAPI + uvicorn"
    packages = ("fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "onnxruntime")

    def start(self, site: Site) -> Start:
        command = [str(site.python), "-m", "uvicorn", "app:app", "--app-dir", str(Path(__file__).parent)]
        command += ["--host", "127.0.0.1", "--port", str(site.port), "--workers", str(site.workers)]
        command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return Start(tuple(command), "/health", model_environ(site), site.directory)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        return Request("/predict", json.dumps({"rows": rows}).encode())

    def classes(self, reply: Reply) -> list[int]:
        classes: list[int] = json.loads(reply.body)["classes"]
        return classes
