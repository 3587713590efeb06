"""``python -m support.crowd [CALLERS]``: what sharing runs is worth, and what it costs, without a server around it.

CALLERS (64) threads ask the model of ``support.sleeping`` for one row again and again, first with merging and then
without; one line each. Needs PYTHONPATH=tests; pin it to one core to compare with what is written elsewhere.
"""

from __future__ import annotations

import sys
import time
from threading import Thread
from typing import Any, cast

import numpy as np

from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.job import Job
from secure_ml_api.inference.runner import Runner
from secure_ml_api.setting_sections import BatchingSettings
from secure_ml_api.telemetry.metrics import Metrics
from support.sleeping import SleepingSession
from support.spine import FakeModel

_SECONDS = 3.0


def measure(callers: int, enabled: Any) -> str:
    """Throughput, latency and CPU of ``callers`` callers."""
    model = cast("Any", FakeModel(SleepingSession()))
    runner = Runner(Admission(1, callers), BatchingSettings(enabled=enabled))
    counted = Metrics().for_model("sleeper", "1")
    rows = np.ones((1, 4), np.float32)
    until = time.monotonic() + _SECONDS
    latencies: list[float] = []

    def ask() -> None:
        while time.monotonic() < until:
            begun_at = time.perf_counter()
            runner.run(Job(model, {"input": rows}, 1, ("value",), Deadline.after(60)), counted)
            latencies.append(time.perf_counter() - begun_at)

    threads = [Thread(target=ask) for _ in range(callers)]
    cpu_begun = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu_seconds = time.process_time() - cpu_begun
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    each = cpu_seconds / len(latencies) * 1e6
    return f"{len(latencies) / _SECONDS:6.0f} rows/s, p50 {p50:5.1f} ms, p99 {p99:5.1f} ms, {each:4.0f} µs CPU a row"


if __name__ == "__main__":
    crowd = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    for choice in ("always", "never"):
        sys.stdout.write(f"{choice:>6}: {measure(crowd, choice)}\n")
