"""Writes the dashboards: `python deploy/grafana/build.py`.

A panel is a title, a query and a unit; the rest is layout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

PREDICT = 'route=~".*(predict|infer)"'
FAILED = PREDICT + ', status=~"5.."'
_RATE = "$__rate_interval"
_WORKER = "{{instance}} {{worker}}"
HERE = Path(__file__).parent / "dashboards"


class Panel(NamedTuple):
    """One graph: ``query`` in PromQL, and what its lines are called."""

    title: str
    query: str
    legend: str
    unit: str = "short"
    kind: str = "timeseries"


def _rate(metric: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate(secure_ml_api_{metric}{{{where}}}[{_RATE}]))"


def _all(where: str) -> str:
    return f"sum(rate(secure_ml_api_requests_total{{{where}}}[{_RATE}]))"


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, {_rate(metric + '_bucket', 'le, ' + by)})"


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "service": (
        "secure-ml-api: service",
        (
            Panel("Requests by status", _rate("requests_total", "status"), "{{status}}", "reqps"),
            Panel("Requests by route", _rate("requests_total", "route"), "{{route}}", "reqps"),
            Panel("Time to answer, median", _quantile(0.5, "request_seconds", "route"), "{{route}}", "s"),
            Panel("Time to answer, p99", _quantile(0.99, "request_seconds", "route"), "{{route}}", "s"),
            Panel(
                "Predictions without a failure of the server",
                f"1 - ({_all(FAILED)} or vector(0)) / {_all(PREDICT)}",
                "available",
                "percentunit",
            ),
            Panel("In flight", "sum by (instance) (secure_ml_api_in_flight)", "{{instance}}"),
            Panel("Refusals by reason", _rate("rejected_total", "reason"), "{{reason}}", "reqps"),
            Panel("Servers that answer", 'sum(up{job="secure-ml-api"})', "up", kind="stat"),
        ),
    ),
    "models": (
        "secure-ml-api: models",
        (
            Panel("Rows predicted", _rate("rows_total", "model, version"), "{{model}}/{{version}}", "rowsps"),
            Panel("Rows by outcome", _rate("predictions_total", "model, outcome"), "{{model}} {{outcome}}", "rowsps"),
            Panel("Time of a run, median", _quantile(0.5, "inference_seconds", "model"), "{{model}}", "s"),
            Panel("Time of a run, p99", _quantile(0.99, "inference_seconds", "model"), "{{model}}", "s"),
            Panel("Time in the queue, p99", _quantile(0.99, "queue_seconds", "model"), "{{model}}", "s"),
            Panel("Rows of a run, median", _quantile(0.5, "batch_rows", "model"), "{{model}}"),
            Panel(
                "Versions that are loaded",
                "max by (model, version, runtime) (secure_ml_api_model_info)",
                "{{model}}/{{version}} ({{runtime}})",
                kind="stat",
            ),
            Panel(
                "Rows of shadows by how they compare",
                _rate("shadow_compared_total", "model, version, outcome"),
                "{{model}}/{{version}} {{outcome}}",
                "rowsps",
            ),
            Panel(
                "Drift: the ten features that have moved most (PSI)",
                "topk(10, max by (model, version, feature) (secure_ml_api_feature_drift_psi))",
                "{{model}}/{{version}} {{feature}}",
            ),
            Panel(
                "Drift: rows it is measured on",
                "sum by (model, version) (secure_ml_api_feature_drift_rows)",
                "{{model}}/{{version}}",
            ),
        ),
    ),
    "clients": (
        "secure-ml-api: clients",
        (
            Panel("Failed authentications by reason", _rate("auth_failures_total", "reason"), "{{reason}}", "reqps"),
            Panel("Over a quota", _rate("rejected_total", "instance", 'reason="quota_exceeded"'), "429", "reqps"),
            Panel(
                "Bad requests",
                _rate("requests_total", "status, route", 'status=~"4.."'),
                "{{status}} {{route}}",
                "reqps",
            ),
            Panel("Tokens issued", _rate("requests_total", "status", 'route="/oauth/token"'), "{{status}}", "reqps"),
        ),
    ),
    "workers": (
        "secure-ml-api: workers",
        (
            Panel("Requests in hand", "secure_ml_api_worker_in_flight", _WORKER),
            Panel("Requests that wait for a run", "secure_ml_api_worker_waiting", _WORKER),
            Panel("Open connections", "secure_ml_api_worker_connections", _WORKER),
            Panel("CPU", f"rate(secure_ml_api_worker_cpu_seconds_total[{_RATE}])", _WORKER, "percentunit"),
            Panel("Memory, what is shared in each", "secure_ml_api_worker_resident_memory_bytes", _WORKER, "bytes"),
            Panel(
                "Since the last sign of life", "time() - secure_ml_api_worker_heartbeat_timestamp_seconds", _WORKER, "s"
            ),
            Panel("Age", "time() - secure_ml_api_worker_start_timestamp_seconds", _WORKER, "s"),
            Panel(
                "Workers that were followed by others, by reason",
                f"sum by (instance, reason) (increase(secure_ml_api_workers_ended_total[{_RATE}]))",
                "{{instance}} {{reason}}",
            ),
            Panel(
                "Workers that serve",
                "count by (instance) (secure_ml_api_worker_heartbeat_timestamp_seconds)",
                "{{instance}}",
                kind="stat",
            ),
        ),
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """The dashboard ``name`` as Grafana reads it (schema version 39, Grafana 10 and later)."""
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"secure-ml-api-{name}",
        "title": title,
        "tags": ["secure-ml-api"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "targets": [{"refId": "A", "datasource": source, "expr": panel.query, "legendFormat": panel.legend}],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if panel.kind == "timeseries" else {},
    }


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (HERE / f"{name}.json").write_text(json.dumps(dashboard(name), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
