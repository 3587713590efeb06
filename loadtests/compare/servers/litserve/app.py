"""A prediction service as LitServe's documentation would have it."""

import sys
from typing import Any

import litserve
import numpy as np
from predictor import BATCHING, MAX_BATCH_ROWS, MAX_WAIT_SECONDS, load


class Predictor(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.run = load()

    def decode_request(self, request, **_):  # LitServe reads annotations: without one it hands over the parsed JSON
        return np.array(request["rows"], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        return self.run(x)

    def encode_response(self, output: Any) -> Any:
        return {"classes": output.tolist()}


class BatchingPredictor(Predictor):
    """Callers of one row each, merged by LitServe into [callers, 1, columns]."""

    def predict(self, x: Any) -> Any:
        return self.run(x[:, 0, :])[:, None]


if __name__ == "__main__":
    batching = {"max_batch_size": MAX_BATCH_ROWS, "batch_timeout": MAX_WAIT_SECONDS}
    api = BatchingPredictor(**batching) if BATCHING else Predictor()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
