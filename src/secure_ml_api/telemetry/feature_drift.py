"""How far the features of models have moved from what they were packed with, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class FeatureDrift(NamedTuple):
    """One version of a model: on how many rows, and the population stability index of each feature."""

    model: str
    version: str
    rows: int
    indices: Mapping[str, float]


class DriftCollector(Collector):
    """Asks ``found``, for all workers at once, whenever the metrics are."""

    def __init__(self) -> None:
        self.found: Callable[[], Iterable[FeatureDrift]] = lambda: ()

    def collect(self) -> Iterable[Metric]:
        index = GaugeMetricFamily(
            "secure_ml_api_feature_drift_psi",
            "Population stability index of a feature against the sample of the package.",
            labels=("model", "version", "feature"),
        )
        rows = GaugeMetricFamily(
            "secure_ml_api_feature_drift_rows",
            "Rows of the window that the index is computed on.",
            labels=("model", "version"),
        )
        for drift in self.found():
            rows.add_metric((drift.model, drift.version), drift.rows)
            for feature, value in drift.indices.items():
                index.add_metric((drift.model, drift.version, feature), value)
        return (index, rows)
