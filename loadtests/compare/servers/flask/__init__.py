"""Flask as it is conventionally guarded: Flask-JWT-Extended and Flask-Limiter as decorators, under gunicorn's gthread.

HS256, the cheapest signature that Flask-JWT-Extended checks; counters in memory, the cheapest that Flask-Limiter has,
which are exact for one worker only; 16 threads; no access log.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...exchange import Reply, Request, post
from ...processes import Start
from ..server import Site, model_environ


class FlaskConventional:
    name = "flask"
    title = "Flask + JWT + Limiter, gunicorn"
    packages = ("flask", "flask-jwt-extended", "flask-limiter", "gunicorn", "onnxruntime")

    def start(self, site: Site) -> Start:
        command = [str(site.python), "-m", "gunicorn", "app:app", "--chdir", str(Path(__file__).parent)]
        command += ["--bind", f"127.0.0.1:{site.port}", "--workers", str(site.workers), "--log-level", "warning"]
        command += ["--worker-class", "gthread", "--threads", "16", "--keep-alive", "75", "--no-control-socket"]
        return Start(tuple(command), "/health", model_environ(site), site.directory)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        token = json.loads(post(site.port, Request("/login", b"{}")).body)["access_token"]
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return Request("/predict", json.dumps({"rows": rows}).encode(), headers)

    def classes(self, reply: Reply) -> list[int]:
        classes: list[int] = json.loads(reply.body)["classes"]
        return classes
