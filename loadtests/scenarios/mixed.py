"""All three protocols over all example models: the traffic of a server that many teams share."""

from __future__ import annotations

from locust import task

from ..callers import Caller
from ..rows import MODELS, row, rows

_ROWS = 4


class MixedCaller(Caller):
    scenario = "mixed"
    pace = 5.0

    @task(5)
    def rows(self) -> None:
        model = self.random.choice(MODELS)
        body = {"features": row(model, self.random)}
        self.predict(f"rows {model}", f"/v1/models/{model}/predict", body, "prediction")

    @task(2)
    def tensorflow(self) -> None:
        model = self.random.choice(MODELS)
        body = {"instances": rows(model, _ROWS, self.random)}
        self.predict(f"tensorflow {model}", f"/v1/models/{model}:predict", body, "predictions", _ROWS)

    @task(3)
    def open_inference(self) -> None:
        model = self.random.choice(MODELS)
        data = rows(model, _ROWS, self.random)
        tensor = {"name": "input", "shape": [_ROWS, len(data[0])], "datatype": "FP32", "data": data}
        self.predict(f"open-inference {model}", f"/v2/models/{model}/infer", {"inputs": [tensor]}, "outputs")
