"""A model that does not come to an end: its caller is told, the others go on, the worker is replaced if need be."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.hanging import SCOPES, for_ever
from support.open_loop import OpenLoop, Outcome, post
from support.server import Reply, RunningServer, wait_until

HANGING = (sys.executable, "-m", "support.hanging")
WAITS_SECONDS = 0.5
RUN_LIMIT_SECONDS = 2.0
LOAD = "60 requests a second, open loop, half to a quick model and half to one that needs the one place"
MUST_HOLD = "504 by the deadline, the slot freed, the worker recycled if it stays hung"


class Server:
    """One worker with one place to run in, a token for it, and what callers of other models met meanwhile."""

    def __init__(self, running: RunningServer, worker_class: str) -> None:
        self.running = running
        self.worker_class = worker_class
        self.token = running.token(running.create_client("crowd", SCOPES, rate="1000000/minute"))

    def hung(self, model: str, **headers: str) -> tuple[Reply, float]:
        """The answer to a request that never ends, and after how many seconds it came."""
        begun = time.monotonic()
        path = f"/v1/models/{model}/predict"
        body = post("", for_ever(model), "").partition(b"\r\n\r\n")[2]
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        return self.running.request("POST", path, body=body, headers=given), time.monotonic() - begun

    def others(self, seconds: float, rate: float) -> OpenLoop:
        """Callers of a quick model and, as many, of one that needs the place."""
        requests = (
            post("/v1/models/tiny/predict", {"features": [1, 2]}, self.token),
            post("/v1/models/sleeper/predict", {"features": [1, 2, 3, 4]}, self.token),
        )
        return OpenLoop(self.running.port, lambda number: requests[number % 2], rate=rate, seconds=seconds)

    def said(self, word: str) -> list[dict[str, object]]:
        return [line for line in self.running.log_lines() if word in str(line["message"])]


def hung_models(home: Path) -> list[str]:
    """Those that the audit trail tells of."""
    with closing(sqlite3.connect(home / "data.db")) as database:
        found = database.execute("SELECT details FROM audit WHERE event = 'model.hung'").fetchall()
    return [str(json.loads(details)["model"]) for (details,) in found]


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environ = {
        "SECURE_ML_API_SERVER__WORKER_CLASS": request.param,
        "SECURE_ML_API_SERVER__REQUEST_DEADLINE_SECONDS": "5",
        "SECURE_ML_API_INFERENCE__RUN_LIMIT_SECONDS": str(RUN_LIMIT_SECONDS),
        "SECURE_ML_API_INFERENCE__MAX_CONCURRENT_RUNS": "1",
        "SECURE_ML_API_TELEMETRY__ACCESS_LOG": "false",
    }
    home = tmp_path_factory.mktemp("hung") / "home"
    with RunningServer(home, "--workers", "1", command=HANGING, environ=environ) as running:
        yield Server(running, request.param)


def told(server: Server, seconds: float, outcome: Outcome, then: str) -> str:
    answers = ", ".join(f"{number} × {status or 'lost'}" for status, number in sorted(outcome.statuses().items()))
    worst = f"p99 {outcome.latency(99) * 1000:.0f} ms, longest {outcome.latency(100):.1f} s"
    return f"{server.worker_class}: 504 after {seconds:.2f} s; others: {answers}, {worst}; {then}"


def test_a_slow_run_is_stopped_at_its_caller_s_deadline_and_the_worker_stays(
    server: Server, figures: Figures, full: bool
) -> None:
    before = server.running.worker_pids()
    with server.others(10 if full else 1.5, 60) as load:
        load.wait_for_flow()
        reply, seconds = server.hung("slow-looper", **{"Request-Timeout": str(WAITS_SECONDS)})
    assert reply.status == 504
    assert WAITS_SECONDS <= seconds < WAITS_SECONDS + 2
    assert set(load.outcome.statuses()) == {200}
    assert server.running.worker_pids() == before
    result = told(server, seconds, load.outcome, "the run ended, the worker stayed")
    figures.add("a graph that loops for ever", LOAD, result, must_hold=MUST_HOLD)


def test_a_run_believed_quick_is_stopped_soon_and_the_worker_stays(
    server: Server, figures: Figures, full: bool
) -> None:
    before = server.running.worker_pids()
    with server.others(10 if full else 2.5, 60) as load:
        load.wait_for_flow()
        reply, seconds = server.hung("looper")
    assert reply.status == 504
    assert seconds < 4
    assert set(load.outcome.statuses()) == {200}
    assert server.running.worker_pids() == before
    assert [line["model"] for line in server.said("should have been quick")] == ["looper"]
    result = told(server, seconds, load.outcome, "the run ended, the worker stayed")
    figures.add("a graph that loops for ever, in a run believed to be quick", LOAD, result, must_hold=MUST_HOLD)


@pytest.mark.parametrize("model", ["slow-stuck", "stuck"])
def test_a_run_that_nothing_stops_harms_nobody_else_and_its_worker_is_replaced(
    server: Server, figures: Figures, full: bool, model: str
) -> None:
    running = server.running
    before = running.worker_pids()
    hung_before = running.metric("secure_ml_api_hung_runs_total", model=model)
    with server.others(15 if full else 5, 60) as load:
        load.wait_for_flow()
        begun = time.monotonic()
        reply, seconds = server.hung(model, **{"Request-Timeout": str(WAITS_SECONDS)})
        wait_until(lambda: not before & running.worker_pids(), 30, "the replacement of the worker")
        replaced_after = time.monotonic() - begun
    assert reply.status == 504
    if model == "slow-stuck":
        assert WAITS_SECONDS <= seconds < WAITS_SECONDS + 2
    assert set(load.outcome.statuses()) == {200}
    assert running.metric("secure_ml_api_hung_runs_total", model=model) == hung_before + 1
    assert model in [line["model"] for line in server.said("a run does not end")]
    assert running.get("/v2/health/ready").status == 200
    assert model in hung_models(running.home)
    result = told(server, seconds, load.outcome, f"the worker was replaced after {replaced_after:.1f} s")
    fault = (
        "native code that hangs" if model == "slow-stuck" else "native code that hangs, in a run believed to be quick"
    )
    figures.add(fault, LOAD, result, must_hold=MUST_HOLD)
