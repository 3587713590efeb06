"""A prediction service as BentoML's documentation would have it."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from predictor import BATCHING, MAX_BATCH_ROWS, NATIVE, load

_PATIENCE_MS = 60_000

Rows = Annotated[np.ndarray, DType("float32")]


@bentoml.service(
    workers=1,
    metrics={"enabled": NATIVE},
    logging={"access": {"enabled": False}},
    traffic={"timeout": 60},
)
class Predictor:
    def __init__(self) -> None:
        self.run = load()

    if BATCHING:

        @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS, max_latency_ms=_PATIENCE_MS)
        def predict(self, rows: Rows) -> np.ndarray:
            return self.run(rows)

    elif NATIVE:

        @bentoml.api
        def predict(self, rows: Rows) -> np.ndarray:
            return self.run(rows)

    else:

        @bentoml.api
        async def predict(self, rows: Rows) -> np.ndarray:
            return self.run(rows)
