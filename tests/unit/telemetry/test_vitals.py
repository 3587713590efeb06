"""How a worker is."""

from __future__ import annotations

import psutil
import pytest

from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.telemetry.vitals import Vitals, resident_bytes
from support.metric_catalogue import sample


def test_what_a_worker_tells_of_its_cpu_adds_up_to_what_its_process_took() -> None:
    metrics = Metrics()
    vitals = Vitals(metrics, 3, lambda: 5)
    for _ in range(3):
        vitals.tell()
    told = sample(metrics, "secure_ml_api_worker_cpu_seconds_total", worker="3")
    assert 0 < told == vitals.told_seconds
    assert sample(metrics, "secure_ml_api_worker_waiting", worker="3") == 5


def test_resident_memory_is_what_the_system_says_in_bytes() -> None:
    assert resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
