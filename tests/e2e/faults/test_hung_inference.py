"""A model that does not come to an end: its caller is told, the others go on, the worker is replaced if need be."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.hanging import for_ever
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.outcome import Outcome
from support.redis_server import RedisServer
from support.server import Reply, RunningServer, wait_until
from support.worker_classes import Case, dealt

RATE = 60
WAITS_SECONDS = 0.5
RUN_LIMIT_SECONDS = 2.0
# What may come on top of a caller's deadline: for a run of its own, and for one that holds up the thread that answers.
PROMPTLY, AT_MOST = 0.25, 1.0
# How long a run may go on that is believed to be quick, whatever its deadline.
SOON = 1.0
# By how many rounds of a tenth of a second those who look after runs have lost patience.
ROUNDS = 12
THEN = "the slot freed, nobody left in flight, the worker recycled if it stays hung"
RECYCLED = f"{THEN} for {RUN_LIMIT_SECONDS:.0f} s (inference.run_limit_seconds)"
PROMPT = f"504 at most {PROMPTLY:g} s after the deadline"
LATER = f"504 at most {AT_MOST:g} s after the deadline, as the run holds up the thread that answers"
HANGS = {
    "slow-looper": "a graph that loops for ever",
    "looper": "a graph that loops for ever, in a run believed to be quick",
    "slow-stuck": "native code that hangs",
    "stuck": "native code that hangs, in a run believed to be quick",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Beside Redis: at length, all that hangs with both worker classes; otherwise one of them, as time is short."""
    if "case" in metafunc.fixturenames:
        full = bool(metafunc.config.getoption("--figures"))
        metafunc.parametrize("case", dealt(list(HANGS), to_all=True) if full else [Case("stuck", "inplace")], ids=str)


@pytest.fixture(scope="module")
def server(worker_class: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with serving(tmp_path_factory.mktemp("hung"), {}) as loaded:
        yield loaded


@contextmanager
def serving(directory: Path, environ: dict[str, str]) -> Iterator[Loaded]:
    """A server of one worker with one place to run in."""
    environ = {
        "SECURE_ML_API_INFERENCE__RUN_LIMIT_SECONDS": str(RUN_LIMIT_SECONDS),
        "SECURE_ML_API_INFERENCE__MAX_CONCURRENT_RUNS": "1",
        **QUIETLY,
        **environ,
    }
    with RunningServer(directory / "home", "--workers", "1", command=HANGING, environ=environ) as running:
        yield Loaded(running)


def hung(server: Loaded, model: str, headers: dict[str, str] | None = None) -> tuple[Reply, float]:
    """The answer to a request that never ends, and after how many seconds it came."""
    return server.timed(model, *for_ever(model), headers=headers)


def wait_until_nobody_is_in_flight(running: RunningServer) -> None:
    wait_until(lambda: running.metric("secure_ml_api_in_flight") == 0, what="nobody in flight, as the gauge says")


def latest(seconds: float, others: Outcome, *, full: bool) -> float:
    """When an answer must be there that is promised after ``seconds``, on a machine that does nothing else.

    Otherwise each round of those who look after runs may be as late as the load once was, for the same machine.
    """
    return seconds if full else seconds + ROUNDS * others.lateness(100)


def hung_models(home: Path) -> list[str]:
    """Those that the audit trail tells of."""
    with closing(sqlite3.connect(home / "data.db")) as database:
        found = database.execute("SELECT details FROM audit WHERE event = 'model.hung'").fetchall()
    return [str(json.loads(details)["model"]) for (details,) in found]


def test_a_slow_run_is_stopped_at_its_caller_s_deadline_and_the_worker_stays(
    server: Loaded, worker_class: str, figures: Figures, full: bool
) -> None:
    before, seconds = server.running.worker_pids(), 10 if full else 1.5
    with server.load(seconds, RATE) as load:
        load.wait_for_flow()
        reply, after = hung(server, "slow-looper", {"Request-Timeout": str(WAITS_SECONDS)})
    figures.add(
        f"{HANGS['slow-looper']} ({worker_class})",
        LOAD.format(rate=RATE, seconds=seconds),
        f"504 after {after:.2f} s; others: {in_words(load.outcome)}; the run ended and the worker stayed",
        must_hold=f"{PROMPT}; {THEN}",
    )
    assert reply.status == 504
    assert WAITS_SECONDS <= after < latest(WAITS_SECONDS + PROMPTLY, load.outcome, full=full)
    assert set(load.outcome.statuses()) == {200}
    assert server.running.worker_pids() == before
    wait_until_nobody_is_in_flight(server.running)


def test_a_run_believed_quick_is_stopped_soon_and_the_worker_stays(
    server: Loaded, worker_class: str, figures: Figures, full: bool
) -> None:
    before, seconds = server.running.worker_pids(), 10 if full else 2.5
    with server.load(seconds, RATE) as load:
        load.wait_for_flow()
        reply, after = hung(server, "looper")
    figures.add(
        f"{HANGS['looper']} ({worker_class})",
        LOAD.format(rate=RATE, seconds=seconds),
        f"504 after {after:.2f} s; others: {in_words(load.outcome)}; the run ended and the worker stayed",
        must_hold=f"504 within {SOON:g} s, whatever the deadline; {THEN}",
    )
    assert reply.status == 504
    assert after < latest(SOON, load.outcome, full=full)
    assert set(load.outcome.statuses()) == {200}
    assert server.running.worker_pids() == before
    wait_until_nobody_is_in_flight(server.running)
    assert [line["model"] for line in server.said("should have been quick")] == ["looper"]


@pytest.mark.parametrize("model", ["slow-stuck", "stuck"])
def test_a_run_that_nothing_stops_harms_nobody_else_and_its_worker_is_replaced(
    server: Loaded, worker_class: str, figures: Figures, full: bool, model: str
) -> None:
    running = server.running
    before = running.worker_pids()
    hung_before = running.metric("secure_ml_api_hung_runs_total", model=model)
    with server.load_meanwhile(RATE) as load:
        begun = time.monotonic()
        reply, after = hung(server, model, {"Request-Timeout": str(WAITS_SECONDS)})
        wait_until(lambda: not before & running.worker_pids(), 30, "the replacement of the worker")
        replaced = time.monotonic() - begun
        time.sleep(5 if full else 0.2)  # of load on the successor
        seconds = round(load.now())
    figures.add(
        f"{HANGS[model]} ({worker_class})",
        LOAD.format(rate=RATE, seconds=seconds),
        f"504 after {after:.2f} s; others: {in_words(load.outcome)}; the worker was gone after {replaced:.1f} s",
        must_hold=f"{PROMPT if model == 'slow-stuck' else LATER}; {RECYCLED}",
    )
    assert reply.status == 504
    late = PROMPTLY if model == "slow-stuck" else AT_MOST
    assert WAITS_SECONDS <= after < latest(WAITS_SECONDS + late, load.outcome, full=full)
    assert set(load.outcome.statuses()) == {200}
    assert running.metric("secure_ml_api_hung_runs_total", model=model) == hung_before + 1
    assert model in [line["model"] for line in server.said("a run does not end")]
    assert model in hung_models(running.home)
    assert running.get("/v2/health/ready").status == 200
    wait_until_nobody_is_in_flight(running)


def test_where_quotas_are_in_redis_a_run_that_hangs_harms_nobody_else(
    tmp_path: Path, case: Case, figures: Figures, full: bool
) -> None:
    model = case.fault
    with (
        RedisServer(tmp_path) as redis,
        serving(
            tmp_path,
            {"SECURE_ML_API_STATE__URL": redis.url, "SECURE_ML_API_SERVER__WORKER_CLASS": case.worker_class},
        ) as server,
    ):
        before = server.running.worker_pids()
        with server.load_meanwhile(RATE) as load:
            reply, after = hung(server, model, {"Request-Timeout": str(WAITS_SECONDS)})
            if model.endswith("stuck"):
                wait_until(lambda: not before & server.running.worker_pids(), 30, "the replacement of the worker")
            time.sleep(5 if full else 0.2)  # of load on whoever serves now
            seconds = round(load.now())
        wait_until_nobody_is_in_flight(server.running)
    late = PROMPTLY if model.startswith("slow") else AT_MOST
    figures.add(
        f"{HANGS[model]}, quotas in Redis ({case.worker_class})",
        LOAD.format(rate=RATE, seconds=seconds),
        f"504 after {after:.2f} s; others: {in_words(load.outcome)}; nobody in flight afterwards",
        must_hold=f"{PROMPT if late == PROMPTLY else LATER}; others served; nobody left in flight",
    )
    assert reply.status == 504
    assert after < latest(WAITS_SECONDS + late, load.outcome, full=full)
    assert set(load.outcome.statuses()) == {200}
