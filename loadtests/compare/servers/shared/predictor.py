"""The model as every opponent runs it, the fastest way that there is: onnxruntime with one thread that never spins."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

MODEL = os.environ.get("COMPARE_MODEL", "")
BATCHING = bool(os.environ.get("COMPARE_BATCHING"))
NATIVE = bool(os.environ.get("COMPARE_NATIVE"))
MAX_BATCH_ROWS = 32
MAX_WAIT_SECONDS = 0.002

_CALL_SECONDS = 0.005
_ROW_SECONDS = 0.001 / 31


def load(model: str = MODEL) -> Callable[[Any], Any]:
    """A function from float32 [rows, columns] to the class of each row, int64 [rows]."""
    return sleeper() if model == "slow" else _session(model)


def sleeper() -> Callable[[Any], Any]:
    """A model that sleeps 5 ms for one row and 6 ms for 32, one call at a time, as an accelerator would be busy."""
    busy = Lock()

    def run(rows: Any) -> Any:
        with busy:
            time.sleep(_CALL_SECONDS + _ROW_SECONDS * (len(rows) - 1))
        return (rows[:, 0] > 0).astype("int64")

    return run


def _session(path: str) -> Callable[[Any], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    classes = [session.get_outputs()[0].name]
    return lambda rows: session.run(classes, {name: rows})[0]
