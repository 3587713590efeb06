"""This server with everything on: tokens, both quotas, validation, metrics, request ids, an access log in a file.

Started by its own command on a home that its own commands made: a registered client, and models from ``models pack``
with no options. Quotas are so large that none is reached, and are counted all the same.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from ...exchange import Reply, Request, post
from ...models import SLOW
from ...processes import Start
from ..server import Site
from .home import CLIENT_FILE, UNLIMITED, made_home

_ROOT = Path(__file__).parents[4]
_LIMITS = ("ADDRESS", "FAILED_AUTHENTICATIONS", "TOKEN_ADDRESS", "TOKEN_CLIENT")
# What makes this server run each caller's rows alone, for the workload that compares batching with none.
_UNBATCHED = {"SECURE_ML_API_BATCHING__ENABLED": "never"}
_HEADER_LENGTH = "Inference-Header-Content-Length"


class Ours:
    name = "ours"
    title = "secure-ml-api"
    packages = ("secure-ml-api", "flask", "gunicorn", "onnxruntime", "numpy")

    def start(self, site: Site) -> Start:
        home = site.directory / "home"
        shutil.copytree(made_home(site.model), home)
        module = f"{__package__}.slow_server" if site.model.name == SLOW else "secure_ml_api"
        command = [sys.executable, "-m", module, "serve", "--home", str(home), "--workers", str(site.workers)]
        command += ["--port", str(site.port), "--metrics-port", str(site.spare_ports[0])]
        environ = {f"SECURE_ML_API_QUOTAS__{limit}": UNLIMITED for limit in _LIMITS}
        environ |= {"SECURE_ML_API_TOKENS__LIFETIME_SECONDS": "86400"}
        if site.model.name == SLOW and not site.batching:
            environ |= _UNBATCHED
        return Start(tuple(command), "/v2/health/ready", environ, _ROOT)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        client = json.loads((site.directory / "home" / CLIENT_FILE).read_text())
        form = {name: client[name] for name in ("client_id", "client_secret")} | {"grant_type": "client_credentials"}
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = post(site.port, Request("/oauth/token", urlencode(form).encode(), form_type))
        headers = {"Authorization": f"Bearer {json.loads(answer.body)['access_token']}"}
        if site.binary:
            return _binary_request(site.model.name, rows, headers)
        body = {"features": rows[0]} if len(rows) == 1 else {"instances": rows}
        headers["Content-Type"] = "application/json"
        return Request(f"/v1/models/{site.model.name}/predict", json.dumps(body).encode(), headers)

    def classes(self, reply: Reply) -> list[int]:
        length = reply.headers.get(_HEADER_LENGTH.lower())
        if length is not None:
            classes: list[int] = np.frombuffer(reply.body[int(length) :], dtype="<i8").tolist()
            return classes
        answer = json.loads(reply.body)
        return answer["predictions"] if "predictions" in answer else [answer["prediction"]]


def _binary_request(model: str, rows: list[list[float]], headers: dict[str, str]) -> Request:
    """The rows as FP32 and the classes as INT64, both as the Open Inference Protocol's binary tensors."""
    data = np.array(rows, dtype="<f4").tobytes()
    tensor = {"name": "input", "datatype": "FP32", "shape": [len(rows), len(rows[0])]}
    question = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}],
        "outputs": [{"name": "label", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(question).encode()
    headers |= {_HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return Request(f"/v2/models/{model}/infer", head + data, headers)
