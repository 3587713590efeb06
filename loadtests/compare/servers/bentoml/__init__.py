"""BentoML: one worker, a coroutine in place, metrics, tracing and access log off, adaptive batching where asked for.

``native`` is what its documentation shows first: a plain method, which runs in a thread, and its metrics. The targets
are held against the tuned one.

``max_latency_ms`` is BentoML's bound on a whole request, beyond which it refuses; the work's own 2 ms would refuse
nearly everything, so batching gets the bound that lets it answer all of 64 callers.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...exchange import Reply, Request
from ...processes import Start
from ..server import SHARED, Site, model_environ


class BentoMl:
    name = "bentoml"
    title = "BentoML"
    packages = ("bentoml", "uvicorn", "uvloop", "httptools", "onnxruntime")

    def start(self, site: Site) -> Start:
        environ = model_environ(site) | {
            "PYTHONPATH": f"{Path(__file__).parent}:{SHARED}",
            "BENTOML_HOME": str(site.directory / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        }
        command = [str(site.python.parent / "bentoml"), "serve", "app:Predictor", "--working-dir", str(site.directory)]
        command += ["--host", "127.0.0.1", "--port", str(site.port), "--quiet"]
        return Start(tuple(command), "/readyz", environ, site.directory)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        return Request("/predict", json.dumps({"rows": rows}).encode())

    def classes(self, reply: Reply) -> list[int]:
        classes: list[int] = json.loads(reply.body)
        return classes
