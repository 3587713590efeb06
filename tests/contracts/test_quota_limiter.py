"""What every store of counters promises: LMDB, a real Redis, and memory under one limiter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import flask
import flask_limiter
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.counters import Counters
from secure_ml_api.quota.failover import Failover
from secure_ml_api.quota.flask_storage import FlaskLimiterStorage
from secure_ml_api.quota.in_flight import InFlight
from secure_ml_api.quota.limiter import Limiter
from secure_ml_api.quota.lmdb_storage import LmdbStorage
from secure_ml_api.quota.memory_storage import MemoryStorage
from secure_ml_api.quota.redis_storage import open_redis
from secure_ml_api.quota.standings import Charge, Standing
from secure_ml_api.quota.windows import NANOSECONDS, Counter, Wanted
from secure_ml_api.state.shared import shared_state
from support.charging import charge_in_processes
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


@pytest.fixture(scope="module", params=["lmdb", "redis", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    directory = tmp_path_factory.mktemp("run")
    clock = Clock()
    counters: Counters
    if request.param == "redis":
        with RedisServer(directory) as server:
            counters = open_redis(server.url, timeout_seconds=10)
            yield Backend(limiter_over(counters), counters, server.pass_time, server.url, directory)
        return
    if request.param == "lmdb":
        counters = LmdbStorage("", state=shared_state(directory / "state.mdb"), clock=clock)
    else:
        counters = MemoryStorage(clock=clock)
    url = "" if request.param == "lmdb" else "memory://"
    yield Backend(limiter_over(counters), counters, clock.pass_time, url, directory)


@pytest.fixture
def subject() -> str:
    return f"client:{uuid4()}"


def test_a_charge_says_what_is_left_and_for_how_long(backend: Backend, subject: str) -> None:
    standings = backend.limiter.charge(subject, [Charge("requests", "600/minute"), Charge("rows", "1000/hour", 30)])
    assert standings == (Standing("requests", 600, 60, 599, 60), Standing("rows", 1000, 3600, 970, 3600))


def test_costs_add_up_to_the_limit_and_no_further(backend: Backend, subject: str) -> None:
    for cost in (4, 3, 3):
        backend.limiter.charge(subject, [Charge("rows", "10/minute", cost)])
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("rows", "10/minute", 1)])


def test_a_refused_request_takes_nothing_from_any_quota(backend: Backend, subject: str) -> None:
    both = [Charge("requests", "5/minute"), Charge("rows", "10/minute", 8)]
    backend.limiter.charge(subject, both)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, both)
    assert [standing.remaining for standing in refusal.value.standings] == [4, 2]
    assert refusal.value.violated == ("rows",)
    looked = backend.limiter.peek(subject, [Charge("requests", "5/minute", 0), Charge("rows", "10/minute", 0)])
    assert [standing.remaining for standing in looked] == [4, 2]


def test_peeking_takes_nothing_and_refuses_what_a_charge_would_be_refused(backend: Backend, subject: str) -> None:
    one = [Charge("failed_authentications", "2/minute")]
    for _ in range(5):
        assert backend.limiter.peek(subject, one)[0].remaining == 2
    backend.limiter.charge(subject, one)
    backend.limiter.charge(subject, one)
    with pytest.raises(QuotaExceeded):
        backend.limiter.peek(subject, one)


def test_a_charge_of_nothing_is_admitted_when_the_quota_is_used_up(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("rows", "3/minute", 3)])
    assert backend.limiter.charge(subject, [Charge("rows", "3/minute", 0)])[0].remaining == 0


def test_more_than_a_window_holds_is_refused_for_ever(backend: Backend, subject: str) -> None:
    with pytest.raises(QuotaExceeded, match="1000 rows per minute") as refusal:
        backend.limiter.charge(subject, [Charge("requests", "5/minute"), Charge("rows", "1000/minute", 1001)])
    assert refusal.value.never
    assert refusal.value.violated == ("rows",)
    assert backend.limiter.charge(subject, [Charge("requests", "5/minute")])[0].remaining == 4


def test_whoever_waits_as_told_is_admitted_and_a_second_less_is_too_short(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.pass_time(17.1)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    wait = refusal.value.retry_after_seconds
    assert wait == 43
    backend.pass_time(wait - 1)
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.pass_time(1)
    assert backend.limiter.charge(subject, [Charge("requests", "1/minute")]) == (Standing("requests", 1, 60, 0, 60),)


def test_the_wait_is_that_of_the_quota_that_is_free_last(backend: Backend, subject: str) -> None:
    both = [Charge("requests", "1/minute"), Charge("rows", "1/hour")]
    backend.limiter.charge(subject, both)
    with pytest.raises(QuotaExceeded) as refusal:
        backend.limiter.charge(subject, both)
    assert refusal.value.retry_after_seconds == 3600
    assert refusal.value.violated == ("requests", "rows")


def test_subjects_and_quotas_do_not_share(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("requests", "1/minute")])
    backend.limiter.charge(subject, [Charge("rows", "1/minute")])
    backend.limiter.charge(subject + "x", [Charge("requests", "1/minute")])


@pytest.mark.parametrize("odd", ["x" * 5000, "ключ", "\ud800", "", "a/b/../c", "new\nline", "nul\0"])
def test_no_subject_is_too_odd_to_be_counted(backend: Backend, odd: str) -> None:
    named = odd + "x" * len(backend.url)
    backend.limiter.charge(named, [Charge("requests", "1/day")])
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(named, [Charge("requests", "1/day")])


def test_one_quota_twice_or_a_negative_cost_is_a_mistake_of_the_caller(backend: Backend, subject: str) -> None:
    with pytest.raises(ValueError, match="once"):
        backend.limiter.charge(subject, [Charge("rows", "9/minute"), Charge("rows", "9/minute")])
    with pytest.raises(ValueError, match="negative"):
        backend.limiter.charge(subject, [Charge("rows", "9/minute", -1)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), max_size=3), max_size=8))
def test_several_charges_at_once_are_those_one_after_the_other(
    backend: Backend, groups: list[list[tuple[int, int]]]
) -> None:
    def wanted(prefix: str) -> list[Wanted]:
        key = f"LIMITER/{prefix}"
        counters = [Counter(f"{key}/{number}", f"{key}/{number}".encode(), 5 + number, 60) for number in range(3)]
        return [[(counters[which], cost) for which, cost in dict(group).items()] for group in groups]

    one_by_one = [backend.counters.charge(each) for each in wanted(str(uuid4()))]
    at_once = backend.counters.charge_each(wanted(str(uuid4())))
    assert [(fits, [used for used, _ in found]) for fits, found in at_once] == [
        (fits, [used for used, _ in found]) for fits, found in one_by_one
    ]


def test_threads_are_granted_exactly_the_limit(backend: Backend, subject: str) -> None:
    def attempt(_: int) -> bool:
        try:
            backend.limiter.charge(subject, [Charge("requests", "100/day"), Charge("rows", "1000/day", 2)])
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(300))) == 100
    rows = backend.limiter.peek(subject, [Charge("rows", "1000/day", 0)])
    assert rows[0].remaining == 800


def test_processes_and_their_threads_are_granted_exactly_the_limit(backend: Backend) -> None:
    """Memory is one process's own, so there each process is granted the limit."""
    admitted = charge_in_processes(
        4, url=backend.url, run_directory=backend.run_directory, threads=4, attempts=300, rate="250/day"
    )
    assert sum(admitted) == (1000 if backend.url == "memory://" else 250)


Operation = tuple[str, int, int]
operations = st.lists(
    st.one_of(
        st.tuples(st.just("charge"), st.integers(0, 4), st.integers(0, 12)),
        st.tuples(st.just("peek"), st.integers(0, 4), st.integers(0, 12)),
        # Real time passes too where Redis counts, so no wait ends just short of a window.
        st.tuples(st.just("wait"), st.sampled_from([10, 50, 60, 600, 3600]), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_any_sequence_is_decided_as_a_simple_model_decides_it(backend: Backend, done: list[Operation]) -> None:
    subject = f"client:{uuid4()}"
    limits = {"requests": (5, 60), "rows": (20, 3600)}
    model: dict[str, tuple[int, int]] = {}
    now = 0
    for verb, first, second in done:
        if verb == "wait":
            now += first
            backend.pass_time(first)
            continue
        model = {name: (used, end) for name, (used, end) in model.items() if end > now}
        used_now = {name: model.get(name, (0, 0))[0] for name in limits}
        costs = {"requests": first, "rows": second}
        fits = all(not costs[name] or used_now[name] + costs[name] <= limits[name][0] for name in limits)
        act = backend.limiter.charge if verb == "charge" else backend.limiter.peek
        charges = [Charge("requests", "5/minute", first), Charge("rows", "20/hour", second)]
        if fits and verb == "charge":
            for name in limits:
                if costs[name]:
                    end = model.get(name, (0, now + limits[name][1]))[1]
                    model[name] = (used_now[name] + costs[name], end)
                    used_now[name] += costs[name]
        try:
            standings = act(subject, charges)
        except QuotaExceeded as refusal:
            assert not fits
            standings = refusal.standings
        else:
            assert fits
        assert [standing.remaining for standing in standings] == [5 - used_now["requests"], 20 - used_now["rows"]]


def test_the_fixed_window_strategy_of_the_limits_library_counts_in_the_same_place(
    backend: Backend, subject: str
) -> None:
    strategy = FixedWindowRateLimiter(FlaskLimiterStorage("", counters=backend.limiter.counters))
    item = parse("5/minute")
    assert strategy.hit(item, subject, "requests", cost=3)
    assert backend.limiter.charge(subject, [Charge("requests", "5/minute")])[0].remaining == 1
    assert strategy.get_window_stats(item, subject, "requests").remaining == 1
    assert not strategy.hit(item, subject, "requests", cost=2)
    # The library counts what it refuses too; ours stays at nothing left, and asking for nothing is fine.
    assert backend.limiter.charge(subject, [Charge("requests", "5/minute", 0)])[0].remaining == 0
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("requests", "5/minute", 1)])
    strategy.clear(item, subject, "requests")
    assert backend.limiter.peek(subject, [Charge("requests", "5/minute", 0)])[0].remaining == 5


def test_flask_limiter_counts_in_the_same_place(backend: Backend, subject: str) -> None:
    app = flask.Flask(__name__)
    shared = flask_limiter.Limiter(
        lambda: subject,
        app=app,
        storage_uri=backend.limiter.storage_uri,
        storage_options=backend.limiter.storage_options,
    )

    @app.get("/")
    @shared.shared_limit("5/minute", scope="requests")
    def view() -> str:
        return "fine"

    client = app.test_client()
    backend.limiter.charge(subject, [Charge("requests", "5/minute", 3)])
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
    with pytest.raises(QuotaExceeded):
        backend.limiter.charge(subject, [Charge("requests", "5/minute")])


def test_the_storage_says_when_a_window_ends_and_forgets_it_when_told(backend: Backend) -> None:
    key = f"LIMITER/{uuid4()}/5/1/minute"
    assert backend.counters.incr(key, 60, 2) == 2
    first = backend.counters.get_expiry(key)
    assert backend.counters.incr(key, 60) == 3
    assert backend.counters.get(key) == 3
    assert backend.counters.get_expiry(key) == pytest.approx(first, abs=2)
    backend.pass_time(60)
    assert backend.counters.get(key) == 0
    assert backend.counters.incr(key, 60) == 1
    backend.counters.clear(key)
    assert backend.counters.get(key) == 0
    assert backend.counters.check()


def test_a_reset_forgets_every_counter(backend: Backend, subject: str) -> None:
    backend.limiter.charge(subject, [Charge("requests", "1/day")])
    assert backend.counters.reset()
    backend.limiter.charge(subject, [Charge("requests", "1/day")])
