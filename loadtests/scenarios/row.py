"""One row a request, by name or by position: the traffic of an online application."""

from __future__ import annotations

from locust import task

from ..callers import Caller
from ..rows import MODELS, row


class RowCaller(Caller):
    scenario = "row"
    pace = 10.0

    @task
    def predict_one(self) -> None:
        model = self.random.choice(MODELS)
        body = {"features": row(model, self.random)}
        self.predict(model, f"/v1/models/{model}/predict", body, "prediction")
