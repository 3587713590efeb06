"""The metrics of a server with several workers, read as Prometheus reads them."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.telemetry.catalogue import ENDS
from support.needs import free_port, program
from support.server import STAND_IN, RunningServer, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")

_COUNT = "secure_ml_api_requests_total"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "home", "--workers", "4", command=STAND_IN) as running:
        yield running


def versions(server: RunningServer) -> float:
    return server.metric(_COUNT, route="version", method="GET", status="200")


def call_in_vain(server: RunningServer) -> None:
    with pytest.raises(OSError):
        server.get("/sleep/30")


def ask(server: RunningServer, times: int) -> None:
    for _ in range(times):
        assert server.get("/version").status == 200


def test_every_request_to_any_of_four_workers_is_counted_once(server: RunningServer) -> None:
    callers = [threading.Thread(target=ask, args=(server, 50)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert {versions(server) for _ in range(8)} == {400}
    assert server.metric("secure_ml_api_request_seconds_count", route="version") == 400
    assert server.metric("secure_ml_api_in_flight") == 0


def test_counters_go_on_after_killed_workers_and_reloads(server: RunningServer) -> None:
    ask(server, 40)
    for _ in range(4):
        server.kill_worker()
        assert versions(server) == 40
    server.reload()
    assert versions(server) == 40
    ask(server, 5)
    assert versions(server) == 45


def test_what_a_killed_worker_was_answering_is_no_longer_in_flight(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "1", command=STAND_IN) as server:
        caller = threading.Thread(target=call_in_vain, args=(server,))
        caller.start()
        wait_until(lambda: server.metric("secure_ml_api_in_flight") == 1, what="the request in flight")
        server.kill_worker()
        caller.join(30)
        assert server.metric("secure_ml_api_in_flight") == 0


def test_files_stay_bounded_over_reloads_and_deaths(server: RunningServer) -> None:
    directory = server.home / "run" / "metrics"
    for _ in range(4):
        server.reload()
        wait_until(lambda: len(server.worker_pids()) == 4, what="the leave of the old workers")
        server.kill_worker()
    slots = {path.stem.rpartition("_")[2] for path in directory.iterdir()} - {"master"}
    assert slots <= {str(slot) for slot in range(8)}
    ended = {reason: server.metric("secure_ml_api_workers_ended_total", reason=reason) for reason in ENDS}
    assert ended == {"reload": 16, "died": 4, "relief": 0, "surplus": 0}


def test_model_of_the_old_configuration_is_no_longer_shown_after_a_reload(server: RunningServer) -> None:
    assert server.metric("secure_ml_api_model_info", version="secure-ml-api") == 1
    (server.home / "config.toml").write_text('[tokens]\naudience = "second"\n')
    server.reload()
    wait_until(lambda: len(server.worker_pids()) == 4, what="the leave of the old workers")
    assert server.metric("secure_ml_api_model_info", version="second") == 1
    assert "secure-ml-api" not in server.metrics()


def test_promtool_has_nothing_to_say(server: RunningServer) -> None:
    promtool = program("promtool", "prometheus")
    ask(server, 3)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=server.metrics(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_scrapes_it(server: RunningServer, tmp_path: Path) -> None:
    prometheus = program("prometheus", "prometheus")
    ask(server, 3)
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "api", "static_configs": [{"targets": [f"127.0.0.1:{server.metrics_port}"]}]},
        ],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # every JSON text is YAML
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([prometheus, *arguments, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        query = f"http://{address}/api/v1/query?query={_COUNT}%7Broute=%22version%22%7D"

        def scraped() -> list[dict[str, object]]:
            try:
                with urllib.request.urlopen(query, timeout=5) as answer:
                    result: list[dict[str, object]] = json.load(answer)["data"]["result"]
                    return result
            except OSError:
                return []

        wait_until(scraped, 60, "the first scrape")
        sample = scraped()[0]
        assert sample["value"][1] == "3"  # type: ignore[index]
        assert sample["metric"]["job"] == "api"  # type: ignore[index]
    finally:
        process.terminate()
        process.wait(30)
