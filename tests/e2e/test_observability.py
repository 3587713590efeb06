"""What operators look at: rules that promtool takes, alerts that fire, dashboards on which nothing is empty."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import copied
from secure_ml_api.models.reference import Reference
from secure_ml_api.models.store import Store
from secure_ml_api.telemetry.metrics import Metrics
from support.needs import free_port, program
from support.packages import SIGNATURE, publish, store_in
from support.server import RunningServer, wait_until

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    for target in panel["targets"]
]
ALERTS = re.findall(r"- alert: (\w+)", (PROMETHEUS / "rules" / "alerts.yml").read_text())


def promtool(*arguments: str) -> str:
    """What promtool says; fails the test when it is not content."""
    done = subprocess.run(
        [program("promtool", "prometheus"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_configuration_and_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    promtool("check", "rules", "--lint-fatal", *map(str, RULES))


def test_every_alert_fires_on_what_it_is_for_and_not_before() -> None:
    promtool("test", "rules", str(PROMETHEUS / "tests" / "alerts_test.yml"))


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_and_a_section_of_the_runbooks(alert: str) -> None:
    assert f"  - name: {alert}\n" in (PROMETHEUS / "tests" / "alerts_test.yml").read_text()
    rule = (PROMETHEUS / "rules" / "alerts.yml").read_text().split(f"- alert: {alert}\n")[1].split("- alert:")[0]
    (section,) = re.findall(r"runbook: docs/runbooks\.md#([a-z-]+)", rule)
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert section in {heading.lower().replace(" ", "-") for heading in headings}


def test_every_metric_that_is_asked_for_exists() -> None:
    known = set(re.findall(r"# TYPE (secure_ml_api_\w+)", Metrics().exposition()[0].decode()))
    known |= {f"{name}{part}" for name in known for part in ("_bucket", "_count", "_sum")}
    texts = [path.read_text() for path in RULES] + [parameter.values[0] for parameter in QUERIES]
    asked = {name for text in texts for name in re.findall(r"\bsecure_ml_api_\w+", str(text))}
    assert asked
    assert asked <= known


def test_every_metric_is_in_the_table_of_the_documentation() -> None:
    table = (ROOT / "docs" / "observability.md").read_text().split("## What is counted")[1].split("\n## ")[0]
    told = set(
        re.findall(r"`([a-z_]+)`", " ".join(line.split("|")[1] for line in table.splitlines() if line[:3] == "| `"))
    )
    known = set(re.findall(r"# TYPE secure_ml_api_(\w+)", Metrics().exposition()[0].decode()))
    assert told == {name for name in known if not name.endswith("_created")}


def test_dashboards_are_those_that_are_built(tmp_path: Path) -> None:
    made = tmp_path / "build.py"
    made.write_text((GRAFANA / "build.py").read_text())
    subprocess.run([sys.executable, str(made)], check=True, timeout=60)
    assert {path.stem: json.loads(path.read_text()) for path in (tmp_path / "dashboards").glob("*.json")} == DASHBOARDS


class Prometheus:
    """A real one that scrapes ``server`` every half second."""

    def __init__(self, server: RunningServer, directory: Path) -> None:
        self.port = free_port()
        configuration = (PROMETHEUS / "prometheus.yml").read_text()
        configuration = configuration.replace("15s", "500ms").replace(
            "127.0.0.1:9464", f"127.0.0.1:{server.metrics_port}"
        )
        (directory / "prometheus.yml").write_text(configuration)
        (directory / "rules").symlink_to(PROMETHEUS / "rules")
        self.process = subprocess.Popen(
            [
                program("prometheus", "prometheus"),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, query: str) -> list[Any]:
        """The series that ``query`` gives now."""
        question = urllib.parse.urlencode({"query": query.replace("$__rate_interval", "1m")})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{question}", timeout=10) as answer:
                result: list[Any] = json.load(answer)["data"]["result"]
                return result
        except OSError:
            return []


@pytest.fixture(scope="module")
def prometheus(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("observability")
    home = copied(prepared_home, directory)
    store: Store = store_in(home)
    like_a_sample = np.random.default_rng(11).normal(size=(200, 2)).astype(np.float32)
    publish(store, version="1", reference=Reference.of({"input": like_a_sample}, SIGNATURE))
    publish(store, version="2", weights=(3.0, 4.0))
    store.promote("tiny", "1")
    store.set_shadow("tiny", "2")
    with RunningServer(home, "--workers", "2", environ={"SECURE_ML_API_DRIFT__MIN_ROWS": "1"}) as server:
        made = Prometheus(server, directory)
        try:
            wait_until(lambda: made.ask("up"), 30, "Prometheus")
            token = server.token(server.create_client("load", "predict:*", rate="9/minute"))
            plenty = server.token(server.create_client("plenty", "predict:*"))

            def is_seen() -> bool:
                for _ in range(3):
                    server.post_json("/v1/models/tiny/predict", {"features": [1, 2]}, plenty)
                    server.post_json("/v1/models/tiny/predict", {"features": [1]}, plenty)
                    server.post_json("/v1/models/tiny/predict", {"features": [1, 2]}, token)
                    server.post_json("/v1/models/tiny/predict", {"features": [1, 2]}, "no token")
                return bool(made.ask('rate(secure_ml_api_rejected_total{reason="quota_exceeded"}[1m]) > 0'))

            wait_until(is_seen, 60, "the load in Prometheus")
            server.token(server.create_client("late", "predict:*"))
            server.kill_worker()
            yield made
        finally:
            made.process.terminate()
            made.process.wait(30)


@pytest.mark.parametrize("query", QUERIES)
def test_no_panel_of_a_dashboard_is_empty(prometheus: Prometheus, query: str) -> None:
    def is_shown() -> bool:
        return any(series["value"][1] != "NaN" for series in prometheus.ask(query))

    wait_until(is_shown, 30, query)


def test_each_of_two_workers_is_seen_by_itself_and_a_dead_one_is_counted(prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.ask('secure_ml_api_workers_ended_total{reason="died"} == 1'), 30, "the dead worker")
    for told in (
        "secure_ml_api_worker_cpu_seconds_total > 0",
        "20e6 < secure_ml_api_worker_resident_memory_bytes < 2e9",
        "secure_ml_api_worker_connections >= 0",
        "time() - secure_ml_api_worker_heartbeat_timestamp_seconds < 30",
    ):
        # The one that follows the dead one may not have told of itself yet.
        wait_until(lambda told=told: workers_in(prometheus.ask(told)) == ["0", "1"], 30, told)  # type: ignore[misc]


def workers_in(answer: list[Any]) -> list[str]:
    return sorted(series["metric"]["worker"] for series in answer)


def test_prometheus_has_loaded_the_rules_and_computes_them(prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.ask("secure_ml_api:predict_slow:ratio_rate5m"), 60, "the recording rules")
    assert prometheus.ask('ALERTS{alertname="SecureMlApiDown"}') == []
