"""Redis stopped, frozen, slow or flushed: the documented stand-in at once, and the way back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from secure_ml_api.errors import QuotaExceeded, SettingsError, StorageUnavailable
from secure_ml_api.quota.failover import PAUSE_SECONDS, Failover
from secure_ml_api.quota.in_flight import InFlight
from secure_ml_api.quota.limiter import Limiter
from secure_ml_api.quota.memory_storage import MemoryStorage
from secure_ml_api.quota.redis_storage import open_redis
from secure_ml_api.quota.standings import Charge
from support.redis_server import RedisServer

ONE = [Charge("requests", "3/day")]
EVERY_FAULT = ["stopped", "frozen", "slow"]


class Faults:
    """A server with one fault to bring about and to end."""

    def __init__(self, server: RedisServer, fault: str) -> None:
        self.begin, self.end = {
            "stopped": (server.stop, server.start),
            "frozen": (server.freeze, server.thaw),
            "slow": (server.hold_answers, server.release_answers),
        }[fault]


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


def limiter_at(server: RedisServer, on_error: Literal["local", "refuse"], clock: Seconds) -> Limiter:
    counters = open_redis(server.url, timeout_seconds=0.1)
    return Limiter(Failover(counters, MemoryStorage(), on_error, clock), InFlight(None, on_error))


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_with_local_each_worker_counts_on_its_own_until_the_store_is_back(
    server: RedisServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Seconds()
    limiter = limiter_at(server, "local", clock)
    faults = Faults(server, fault)
    limiter.charge("client:a", ONE)
    with caplog.at_level(logging.INFO, "secure_ml_api.quota.failover"):
        faults.begin()
        assert [limiter.charge("client:a", ONE)[0].remaining for _ in range(3)] == [2, 1, 0]
        with pytest.raises(QuotaExceeded):
            limiter.charge("client:a", ONE)
        assert limiter.degraded
        faults.end()
        clock.now += PAUSE_SECONDS
        left = limiter.peek("client:a", ONE)[0].remaining
    assert "again" in caplog.messages[-1]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    # Stopped, it lost what it held. Frozen, it takes up the one charge that waited in its socket when it wakes.
    assert left == {"stopped": 3, "frozen": 1, "slow": 2}[fault]


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_with_refuse_every_charge_says_that_the_store_is_away(server: RedisServer, fault: str) -> None:
    clock = Seconds()
    limiter = limiter_at(server, "refuse", clock)
    faults = Faults(server, fault)
    faults.begin()
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            limiter.charge("client:a", ONE)
    faults.end()
    clock.now += PAUSE_SECONDS
    assert limiter.charge("client:b", ONE)[0].remaining == 2


def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_question(server: RedisServer) -> None:
    clock = Seconds()
    limiter = limiter_at(server, "local", clock)
    limiter.charge("client:a", ONE)
    server.hold_answers()
    limiter.charge("client:a", ONE)
    server.release_answers()
    clock.now += PAUSE_SECONDS
    assert limiter.peek("client:b", [Charge("requests", "77/day")])[0].remaining == 77


def test_a_flushed_store_starts_every_window_anew_and_stays_exact(server: RedisServer) -> None:
    limiter = limiter_at(server, "refuse", Seconds())
    limiter.charge("client:a", ONE)
    server.client.flushall()
    server.client.script_flush()
    assert [limiter.charge("client:a", ONE)[0].remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(QuotaExceeded):
        limiter.charge("client:a", ONE)


def test_a_restart_between_two_charges_is_not_noticed_beyond_its_lost_counters(server: RedisServer) -> None:
    limiter = limiter_at(server, "refuse", Seconds())
    limiter.charge("client:a", ONE)
    server.stop()
    server.start()
    assert limiter.charge("client:a", ONE)[0].remaining == 2


def test_a_key_that_outlives_its_window_or_never_ends_starts_anew(server: RedisServer) -> None:
    limiter = limiter_at(server, "refuse", Seconds())
    limiter.charge("client:a", [Charge("requests", "3/minute", 3)])
    (key,) = server.client.scan_iter()
    server.client.expire(key, 3700)
    assert limiter.charge("client:a", [Charge("requests", "3/minute", 3)])[0].reset_seconds == 60
    server.client.persist(key)
    assert limiter.charge("client:a", [Charge("requests", "3/minute", 3)])[0].reset_seconds == 60


def test_a_charge_of_two_quotas_is_one_round_trip(server: RedisServer) -> None:
    limiter = limiter_at(server, "refuse", Seconds())
    both = [*ONE, Charge("rows", "100/day", 7)]
    limiter.charge("client:a", both)
    before = server.client.info("commandstats")
    limiter.charge("client:a", both)
    after = server.client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 1
    asked = {name for name in after if name not in before or after[name]["calls"] != before[name]["calls"]}
    assert asked - {"cmdstat_info", "cmdstat_get", "cmdstat_pttl", "cmdstat_incrby"} == {"cmdstat_evalsha"}


def test_valkey_urls_are_spoken_with_the_same_library(server: RedisServer) -> None:
    counters = open_redis(server.url.replace("redis://", "valkey://"), timeout_seconds=1)
    assert counters.incr("LIMITER/a/1/1/day", 60) == 1


def test_a_url_that_is_none_is_refused_by_its_setting() -> None:
    with pytest.raises(SettingsError, match=r"state\.url"):
        open_redis("redis://host:notaport/0", timeout_seconds=1)
