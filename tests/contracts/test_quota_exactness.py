"""Quotas are exact in every store: over threads, over processes, and in any sequence of charges and waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.standings import Charge
from secure_ml_api.quota.windows import Counter, Wanted
from support.charging import charge_in_processes
from support.quota_backends import Backend


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
