"""A process that loads the models of a home as a server does, forks, and says what its worker did.

``python -m support.forked_framework HOME THREADS ARCHITECTURES``: JSON, of the time before the fork and of the worker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from secure_ml_api.models.installed import installed
from secure_ml_api.models.registry import Registry
from support.packages import store_in

FRAMEWORKS = ("torch", "tensorflow", "xgboost", "lightgbm", "sklearn")
ROWS = 1000
_SECONDS = 250


def threads() -> list[str]:
    """The names of the threads of this process."""
    return sorted((task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir())


def bounds() -> dict[str, int]:
    """How many threads the frameworks that are loaded say that they use."""
    said: dict[str, int] = {}
    if "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        said |= {"torch": torch.get_num_threads(), "torch between": torch.get_num_interop_threads()}
    if "tensorflow" in sys.modules:
        threading = sys.modules["tensorflow"].config.threading
        said["tensorflow"] = threading.get_intra_op_parallelism_threads()
        said["tensorflow between"] = threading.get_inter_op_parallelism_threads()
    return said


def worker(registry: Registry) -> dict[str, Any]:
    """What is there once the models are loaded, warm, and were asked by several callers at once."""
    signal.alarm(_SECONDS)
    before = threads()
    registry.start_worker()
    registry.warm_up()
    after = threads()  # and not later: each caller's thread may have helpers of its own
    answers = {}
    for model in registry.models():
        rows = np.random.default_rng(5).normal(size=(ROWS, len(model.signature.columns))).astype(np.float32)
        with ThreadPoolExecutor(3) as callers:
            asked = [callers.submit(model.session.run, {"input": rows}, ["label"]) for _ in range(9)]
            labels = [each.result()["label"].tolist() for each in asked]
        answers[model.name] = labels[0] if all(each == labels[0] for each in labels) else "they differ"
    return {
        "problems": dict(registry.problems),
        "bounds": bounds(),
        "before": before,
        "after": after,
        "answers": answers,
    }


def main(home: Path, most: int, architectures: list[str]) -> None:
    registry = Registry(store_in(home), threads=most, runtimes=installed(architectures=architectures))
    registry.load()
    told: dict[str, Any] = {"loaded": [name for name in FRAMEWORKS if name in sys.modules], "threads": threads()}
    read, write = os.pipe()
    if os.fork() == 0:
        with os.fdopen(write, "w") as out:
            json.dump(worker(registry), out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as given:
        told["worker"] = json.loads(given.read() or '{"problems": "it was killed, as it hung"}')
    print(json.dumps(told))  # noqa: T201 - whoever started this reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","))
