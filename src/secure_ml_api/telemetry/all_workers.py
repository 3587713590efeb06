"""The metrics of all workers of a server, from the files of their slots."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from . import slots


def all_workers() -> CollectorRegistry:
    """A registry that reads the files anew whenever it is collected."""
    registry = CollectorRegistry()
    _AllWorkers(registry, Path(str(slots.current_directory())))
    return registry


class _AllWorkers(MultiProcessCollector):
    """The files of all slots, read as one; models that no worker serves any more are left out."""

    def __init__(self, registry: CollectorRegistry, directory: Path) -> None:
        self._directory = directory
        super().__init__(registry, str(directory))  # type: ignore[no-untyped-call]

    def collect(self) -> list[Metric]:
        # A worker that starts makes its files empty and then fills them; an empty one cannot be read, and says nothing.
        files = [str(path) for path in self._directory.glob("*.db") if _has_content(path)]
        metrics: list[Metric] = list(self.merge(files, accumulate=True))  # type: ignore[no-untyped-call]
        for metric in metrics:
            if metric.name == "secure_ml_api_model_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
        return metrics


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
