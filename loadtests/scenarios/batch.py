"""Many rows a request: the traffic of a nightly job."""

from __future__ import annotations

from locust import task

from ..callers import Caller
from ..rows import rows


class BatchCaller(Caller):
    scenario = "batch"
    pace = 2.0

    @task(3)
    def predict_hundred(self) -> None:
        self._predict("cancer-svm", 100, ["probabilities", "labels"])

    @task(1)
    def predict_thousand(self) -> None:
        self._predict("housing", 1000, [])

    def _predict(self, model: str, count: int, outputs: list[str]) -> None:
        body = {"instances": rows(model, count, self.random), "outputs": outputs}
        self.predict(f"{model}, {count} rows", f"/v1/models/{model}/predict", body, "predictions", count)
