"""Stores of counters under a limiter, and time that a test lets pass in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from secure_ml_api.quota.counters import Counters
from secure_ml_api.quota.failover import Failover
from secure_ml_api.quota.in_flight import InFlight
from secure_ml_api.quota.limiter import Limiter
from secure_ml_api.quota.lmdb_storage import LmdbStorage
from secure_ml_api.quota.memory_storage import MemoryStorage
from secure_ml_api.quota.redis_storage import open_redis
from secure_ml_api.quota.windows import NANOSECONDS
from secure_ml_api.state.shared import shared_state
from support.redis_server import RedisServer


@dataclass
class Backend:
    limiter: Limiter
    counters: Counters
    pass_time: Callable[[float], None]
    url: str
    run_directory: Path


class Clock:
    """Nanoseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 10_000 * NANOSECONDS

    def __call__(self) -> int:
        return self.now_ns

    def pass_time(self, seconds: float) -> None:
        self.now_ns += round(seconds * NANOSECONDS)


def limiter_over(counters: Counters) -> Limiter:
    return Limiter(Failover(counters, MemoryStorage(), "refuse"), InFlight(None, "refuse"))


@contextmanager
def open_backend(kind: str, directory: Path) -> Iterator[Backend]:
    """Counters of this ``kind`` with their files in ``directory``: ``lmdb``, ``redis`` or ``memory``."""
    if kind == "redis":
        with RedisServer(directory) as server:
            redis = open_redis(server.url, timeout_seconds=10)
            yield Backend(limiter_over(redis), redis, server.pass_time, server.url, directory)
        return
    clock = Clock()
    counters: Counters
    if kind == "lmdb":
        counters = LmdbStorage("", state=shared_state(directory / "state.mdb"), clock=clock)
    else:
        counters = MemoryStorage(clock=clock)
    url = "" if kind == "lmdb" else "memory://"
    yield Backend(limiter_over(counters), counters, clock.pass_time, url, directory)
