"""MLServer: models in the server's own process (``parallel_workers`` 0), no metrics, no debug, no access log.

It has no ONNX runtime, so app.py is one in the way that its documentation shows. ``native`` is its scikit-learn runtime
with the joblib file, which is what its users deploy. Several workers are its ``parallel_workers``. Its server says that
it is ready before its models are, so the model's own probe is asked. Its workers do not start with uvloop 0.22 and
later, which is why its requirements have an earlier one.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...exchange import Reply, Request
from ...processes import Start
from ..server import SHARED, Site, model_environ


class MlServer:
    name = "mlserver"
    title = "MLServer"
    packages = ("mlserver", "mlserver-sklearn", "scikit-learn", "onnxruntime")

    def start(self, site: Site) -> Start:
        grpc_port, metrics_port = site.spare_ports
        settings = {
            "host": "127.0.0.1",
            "http_port": site.port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "metrics_endpoint": None,
            "parallel_workers": site.workers if site.workers > 1 else 0,
            "debug": False,
            "gzip_enabled": False,
        }
        model: dict[str, object] = {"name": "model", "implementation": "app.Predictor", "parameters": {}}
        if site.native:
            model |= {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(site.model.joblib)}}
        if site.batching:
            model |= {"max_batch_size": 32, "max_batch_time": 0.002}
        (site.directory / "settings.json").write_text(json.dumps(settings))
        (site.directory / "model-settings.json").write_text(json.dumps(model))
        environ = model_environ(site) | {"PYTHONPATH": f"{Path(__file__).parent}:{SHARED}"}
        command = (str(site.python.parent / "mlserver"), "start", str(site.directory))
        return Start(command, "/v2/models/model/ready", environ, site.directory)

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        tensor = {"name": "rows", "datatype": "FP32", "shape": [len(rows), len(rows[0])]}
        data = [value for row in rows for value in row]
        return Request("/v2/models/model/infer", json.dumps({"inputs": [tensor | {"data": data}]}).encode())

    def classes(self, reply: Reply) -> list[int]:
        classes: list[int] = json.loads(reply.body)["outputs"][0]["data"]
        return classes
