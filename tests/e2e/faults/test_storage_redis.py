"""Redis, where several machines count, goes away in every way that it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.redis_server import RedisServer
from support.server import RunningServer, wait_until
from support.struck import PATH, PLENTY, ROW, Struck, counted, strike, until_prompt
from support.unreliable_proxy import UnreliableProxy
from support.worker_classes import Case, switch

RATE = 100
# Each worker counts for itself while Redis is away, so a client gets its quota at least, and at most once from each.
WORKERS, QUOTA = 2, 5
AWAY = (
    "counting in each worker (quotas.on_storage_error = local) within 1 s; "
    f"a quota of {QUOTA} is used up after {QUOTA} to {WORKERS * QUOTA}; revocations survive"
)
FLUSHED = "predictions go on; revocations survive"
LOST = "the store of the quotas does not answer"
FOUND = "the store of the quotas answers again"


class Town:
    """A server that counts in Redis behind a proxy."""

    def __init__(self, struck: Struck, redis: RedisServer, proxy: UnreliableProxy) -> None:
        self.struck, self.redis, self.proxy = struck, redis, proxy


@pytest.fixture(scope="module")
def whole(home_of_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as redis,
        UnreliableProxy(redis.port) as proxy,
        RunningServer(
            home_of_module,
            "--workers",
            str(WORKERS),
            environ={"SECURE_ML_API_STATE__URL": f"redis://127.0.0.1:{proxy.port}/0", **PLENTY},
        ) as running,
    ):
        yield Town(Struck(running), redis, proxy)


@pytest.fixture
def town(whole: Town, case: Case) -> Town:
    switch(whole.struck.running, case.worker_class)
    return whole


@contextmanager
def stopped(town: Town) -> Iterator[None]:
    town.redis.stop()
    try:
        yield
    finally:
        town.redis.start()


@contextmanager
def frozen(town: Town) -> Iterator[None]:
    town.redis.freeze()
    try:
        yield
    finally:
        town.redis.thaw()


def granted(struck: Struck, token: str) -> int:
    """How many predictions there are for ``token`` before it is told 429; asks for one more than there may be."""
    for number in range(WORKERS * QUOTA + 1):
        status = struck.running.post_json(PATH, ROW, token).status
        if status == 429:
            return number
        assert status == 200
    return WORKERS * QUOTA + 1


FAULTS: dict[str, Callable[[Town], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "frozen (SIGSTOP)": frozen,
    "answers 1 s late": lambda town: town.proxy.slow(0.5),  # there and back
    "resets every connection": lambda town: town.proxy.resetting(),
}


@pytest.mark.faults(*FAULTS)
def test_predictions_go_on_while_redis_is_away(town: Town, case: Case, figures: Figures, full: bool) -> None:
    struck = town.struck
    said = len(struck.said(FOUND))
    limited = struck.running.token(
        struck.running.create_client(f"{case.fault.split()[0]} {case.worker_class}", "predict:*", rate=f"{QUOTA}/hour")
    )
    got: list[int] = []

    def is_counting() -> bool:
        got.append(granted(struck, limited))
        return True

    with struck.load(RATE) as load:
        blow = strike(load, lambda: FAULTS[case.fault](town), 20 if full else 1.0, is_counting)
        wait_until(lambda: len(struck.said(FOUND)) > said, what="Redis to be counted in again")
        recovered = load.now() - blow.ended
    during = load.outcome.between(blow.begun, blow.ended)
    noticed = until_prompt(load.outcome, blow.begun)
    figures.add(
        f"Redis {case}",
        f"open loop, {RATE} predictions a second, {WORKERS} workers, for {blow.ended - blow.begun:.0f} s of it",
        f"{counted(during)}; counting in the workers after {noticed:.2f} s, in Redis again after {recovered:.1f} s; "
        f"a client with a quota of {QUOTA} got {got[0]}",
        must_hold=AWAY,
    )
    assert set(load.outcome.statuses()) == {200}
    assert QUOTA <= got[0] <= WORKERS * QUOTA
    assert noticed < (1 if full else 5)  # the promise is 1 s, on a machine that does nothing else
    assert struck.is_refused(struck.revoked)


@pytest.mark.faults("flushed, scripts too, again and again")
def test_revocations_survive_a_flushed_redis(town: Town, case: Case, figures: Figures, full: bool) -> None:
    struck = town.struck
    with struck.load(RATE) as load:
        until = load.now() + (20 if full else 1)
        while load.now() < until:
            town.redis.client.flushall()
            town.redis.client.script_flush()
            assert struck.is_refused(struck.revoked)
            assert not struck.is_refused(struck.token)
        seconds = load.now()
    figures.add(
        f"Redis {case}",
        f"open loop, {RATE} predictions a second, {WORKERS} workers, for {seconds:.0f} s",
        f"{counted(load.outcome)}; the revoked token stayed refused",
        must_hold=FLUSHED,
    )
    assert set(load.outcome.statuses()) == {200}
