"""Much work for the server and little for who sends it: the same thousand rows again and again, answers hardly read."""

from __future__ import annotations

import json
import random

from locust import task

from ..callers import Caller, bearer, fail
from ..rows import rows

_ROWS = 1000
_BODY = json.dumps({"instances": rows("outliers", _ROWS, random.Random(1))})


class HeavyCaller(Caller):
    scenario = "heavy"
    pace = 2.0

    @task
    def predict_thousand(self) -> None:
        headers = {**bearer(self.token()), "Content-Type": "application/json"}
        with self.client.post(
            "/v1/models/outliers/predict",
            data=_BODY,
            headers=headers,
            name=f"heavy outliers, {_ROWS} rows",
            catch_response=True,
        ) as response:
            if response.status_code != 200:
                fail(response, f"status {response.status_code}")
            elif b'"predictions"' not in (response.content or b""):
                fail(response, "no predictions in the answer")
