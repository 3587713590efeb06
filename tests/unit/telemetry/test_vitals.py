"""How a worker is."""

from __future__ import annotations

import numpy as np

from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.telemetry.vitals import Vitals, resident_bytes

from .test_metrics import sample


def test_what_a_worker_tells_of_its_cpu_adds_up_to_what_its_process_took() -> None:
    metrics = Metrics()
    vitals = Vitals(metrics, 3, lambda: 5)
    for _ in range(3):
        vitals.tell()
    told = sample(metrics, "secure_ml_api_worker_cpu_seconds_total", worker="3")
    assert 0 < told == vitals.told_seconds
    assert sample(metrics, "secure_ml_api_worker_waiting", worker="3") == 5


def test_resident_memory_is_in_bytes_and_grows_with_what_is_written_to() -> None:
    before = resident_bytes()
    held = np.ones(8_000_000)  # 64 MB
    assert resident_bytes() - before > 48_000_000
    assert held.nbytes == 64_000_000
