"""Who would rather be refused than judged by half of what is known has a server that refuses while a store is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support.fault_table import Figures
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.server import RunningServer, command_line, wait_until
from support.struck import PLENTY, Struck, counted, serves, strike
from support.worker_classes import Case, switch

RATE = 100


class Town(NamedTuple):
    """A server that counts in Redis, keeps everything in PostgreSQL and does without neither."""

    struck: Struck
    redis: RedisServer
    postgres: PostgresServer


@pytest.fixture(scope="module")
def whole(home_of_module: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECURE_ML_API_DATABASE__URL", postgres.new_database())
        patch.setenv("SECURE_ML_API_DATABASE__TIMEOUT_SECONDS", "0.5")
        command_line(home_of_module, "init", "--no-examples")
        environ = {
            "SECURE_ML_API_DATABASE__ON_STORAGE_ERROR": "refuse",
            "SECURE_ML_API_QUOTAS__ON_STORAGE_ERROR": "refuse",
            "SECURE_ML_API_STATE__URL": redis.url,
            **PLENTY,
        }
        with RunningServer(home_of_module, "--workers", "2", environ=environ) as running:
            yield Town(Struck(running), redis, postgres)


@pytest.fixture
def town(whole: Town, case: Case) -> Town:
    switch(whole.struck.running, case.worker_class)
    return whole


@contextmanager
def redis_stopped(town: Town) -> Iterator[None]:
    town.redis.stop()
    try:
        yield
    finally:
        town.redis.start()


@contextmanager
def postgres_stopped(town: Town) -> Iterator[None]:
    town.postgres.stop()
    try:
        yield
    finally:
        town.postgres.start()


class Promise(NamedTuple):
    """A fault, which setting decides what follows, and after how many seconds nobody is served any more."""

    fault: Callable[[Town], AbstractContextManager[None]]
    setting: str
    within_seconds: float


FAULTS = {
    "Redis stopped": Promise(redis_stopped, "quotas.on_storage_error", 1),
    "PostgreSQL stopped": Promise(postgres_stopped, "database.on_storage_error", 3),
}


@pytest.mark.faults(*FAULTS)
def test_who_shall_refuse_refuses_everybody_until_the_store_is_back(
    town: Town, case: Case, figures: Figures, full: bool
) -> None:
    struck, promise = town.struck, FAULTS[case.fault]
    looked_at: list[float] = []  # the last time while the fault is there

    def is_refusing() -> bool:
        looked_at.append(load.now())
        recent = load.outcome.between(load.now() - 0.6, load.now() - 0.1)
        return set(recent.statuses()) == {503}

    with struck.load(RATE) as load:
        blow = strike(load, lambda: promise.fault(town), 20.0 if full else 1.0, is_refusing)
        wait_until(lambda: serves(load), 30, "predictions without trouble")
        recovered = load.now() - blow.ended
    during = load.outcome.between(blow.begun, looked_at[-1])
    # When they were answered: who asked shortly before the store was back may have been served then.
    served_at = [answer.due_at + answer.latency for answer in during.of(200).answers]
    last_served = max((at - blow.begun for at in served_at if at < looked_at[-1]), default=0.0)
    figures.add(
        f"{case.fault}, {promise.setting} = refuse, {case.worker_class}",
        f"open loop, {RATE} predictions a second, 2 workers, for {looked_at[-1] - blow.begun:.0f} s of it",
        f"{counted(during)}; the last was served {last_served:.2f} s after it began; all again after {recovered:.1f} s",
        must_hold=f"503 with Retry-After to everybody within {promise.within_seconds:g} s, and until it is back",
    )
    assert set(load.outcome.statuses()) == {200, 503}
    assert all(answer.retry_after for answer in load.outcome.of(503).answers)
    assert not full or last_served < promise.within_seconds  # on a machine that does nothing else
    assert struck.is_refused(struck.revoked)
    assert not struck.is_refused(struck.token)
