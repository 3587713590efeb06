"""Who may wait for a model: all in calm times, few under overload, and nobody is kept out by a flood."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import Overloaded
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.lines import HEAVY_RUNS, STRICT_RUNS, Lines, fits
from secure_ml_api.inference.ticket import Ticket

MODEL, OTHER = object(), object()


class Bench:
    """Lines and those who stand in them, on a clock of its own."""

    def __init__(self, places: int = 1, most: int = 64) -> None:
        self.now = 1000.0
        self.lines = Lines(places, most, clock=lambda: self.now)
        self.waiting: list[Ticket] = []

    def asks(self, client: str = "one", kind: object = MODEL) -> bool:
        """Whether one more of ``client`` may wait; who may does."""
        try:
            self.lines.check(kind, client, self.waiting)
        except Overloaded:
            return False
        ticket = Ticket(Deadline.after(60), kind)
        ticket.client = client
        self.waiting.append(ticket)
        return True

    def ask(self, times: int, client: str = "one", kind: object = MODEL) -> int:
        return sum(self.asks(client, kind) for _ in range(times))

    def a_run_takes(self, callers: int) -> None:
        self.lines.served(MODEL)
        self.lines.shared(MODEL, self.waiting[1:callers])
        del self.waiting[:callers]


def test_as_many_as_the_settings_say_may_wait_while_nobody_is_refused() -> None:
    assert Bench(most=64).ask(64) == 64


def strict(places: int = 1, most: int = 64) -> Bench:
    """A line that was found too long more than a second ago; since then three of ten were refused."""
    bench = Bench(places, most)
    bench.ask(most + 1)
    bench.waiting.clear()
    bench.now += 0.9
    for _ in range(10):
        bench.lines.served(MODEL)
    bench.ask(places + 3)
    bench.waiting.clear()
    bench.now += 0.2
    return bench


def test_once_they_do_not_fit_only_so_many_wait_as_are_served_in_a_few_runs() -> None:
    assert strict().ask(50) == STRICT_RUNS


def test_until_it_is_known_how_many_do_not_fit_one_run_is_waited_for() -> None:
    bench = Bench(most=64)
    bench.ask(65)
    bench.waiting.clear()
    assert bench.ask(50) == HEAVY_RUNS


def test_more_places_drain_more() -> None:
    assert strict(places=4).ask(50) == 4 * STRICT_RUNS


def test_runs_that_take_many_along_let_many_wait() -> None:
    bench = strict()
    for _ in range(80):
        bench.a_run_takes(16)
        bench.ask(16)
    bench.waiting.clear()
    assert bench.ask(64) == pytest.approx(16 * STRICT_RUNS, abs=2)


def test_of_runs_that_take_next_to_no_time_as_many_are_waited_for_as_take_a_few_milliseconds() -> None:
    bench = Bench(most=64)
    for _ in range(3):
        bench.ask(4000)
        bench.waiting.clear()
        for _ in range(2000):
            bench.a_run_takes(1)
        bench.now += 1.0
    assert bench.ask(50) == 10


def test_a_client_finds_room_in_a_line_that_another_fills() -> None:
    bench = Bench(most=64)
    bench.ask(1000, "flood")
    assert bench.ask(4, "modest") == 4
    assert not bench.asks("flood")
    bench.waiting.clear()
    bench.ask(1000, "flood")
    assert all(bench.asks(client) for client in ("modest", "shy", "new"))


def test_many_clients_who_ask_alike_share_the_strict_bound() -> None:
    bench = Bench(most=64)
    bench.ask(65)
    bench.waiting.clear()
    chance = Random(3)
    for _ in range(2000):
        bench.now += 0.003
        bench.asks(str(chance.randrange(50)))
        if chance.random() < 0.3:
            bench.a_run_takes(1)
    lengths = []
    for _ in range(1000):
        bench.now += 0.003
        bench.asks(str(chance.randrange(50)))
        if chance.random() < 0.3:
            bench.a_run_takes(1)
        lengths.append(len(bench.waiting))
    assert sum(lengths) / len(lengths) <= STRICT_RUNS + 1


def test_many_who_have_less_do_not_make_the_line_endless() -> None:
    bench = Bench(most=64)
    for client in range(1000):
        bench.ask(3, str(client))
    assert len(bench.waiting) <= 2 * 64


def test_a_model_that_nobody_floods_keeps_its_room() -> None:
    bench = Bench(most=64)
    bench.ask(65)
    bench.waiting.clear()
    bench.ask(65)
    assert bench.ask(20, kind=OTHER) == 20


def test_a_worker_without_room_is_strict_with_the_model_that_most_wait_for() -> None:
    bench = Bench(most=64)
    bench.ask(30)
    bench.ask(10, kind=OTHER)
    bench.lines.has_no_room(bench.waiting)
    assert not bench.asks()
    assert bench.asks(kind=OTHER)


def test_the_generous_bound_comes_back_when_all_fit_again() -> None:
    bench = Bench(most=64)
    bench.ask(70)
    bench.waiting.clear()
    for _ in range(3):
        bench.now += 1.0
        bench.asks()
        bench.a_run_takes(1)
    assert bench.ask(64) == 64


def test_a_line_without_places_refuses_everyone() -> None:
    assert Bench(most=0).ask(3) == 0


def test_models_that_come_and_go_are_not_remembered_for_ever() -> None:
    bench = Bench()
    kept = [object() for _ in range(3000)]
    for kind in kept:
        bench.lines.served(kind)
    assert len(bench.lines._lines) <= 1024


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50)), st.integers(0, 40), st.booleans())
def test_room_is_bounded_and_a_modest_client_is_kept_out_by_no_single_other(
    clients: dict[str, int], bound: int, is_modest: bool
) -> None:
    there, most_of_one = list(Counter(clients).elements()), max(clients.values(), default=0)
    room = fits(there, bound, is_modest=is_modest)
    if not is_modest:
        assert room is (len(there) < bound)
    elif len(there) - most_of_one < bound:
        assert room
    if room:
        assert len(there) < max(bound, 4 * bound + most_of_one)


@given(
    st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), st.integers(1, 30), st.integers(0, 30)), max_size=60)
)
def test_the_line_is_bounded_whatever_clients_do(turns: list[tuple[str, int, int]]) -> None:
    bench = Bench(most=20)
    for client, asked, taken in turns:
        bench.ask(asked, client)
        bench.a_run_takes(taken)
        bench.now += 0.1
        assert len(bench.waiting) <= 40
        assert 1 <= bench.lines.bound(MODEL) <= 20


def test_when_most_are_refused_one_run_is_waited_for() -> None:
    bench = Bench(most=64)
    for _ in range(3):
        bench.ask(100)
        bench.now += 1.0
    bench.waiting.clear()
    assert bench.ask(50) == HEAVY_RUNS


@pytest.mark.parametrize("factor", [1.25, 2.0, 5.0])
def test_callers_at_random_keep_the_place_busy(factor: float) -> None:
    """As M/D/1 with a bounded line has it: one who waits is enough where many come, and two where few are too many."""
    chance, run, bench = Random(5), 0.005, Bench(most=64)
    busy_until, served, next_arrival, begun = bench.now, 0, bench.now, bench.now
    while bench.now < begun + 60:
        bench.now = next_arrival
        next_arrival += chance.expovariate(factor / run)
        while bench.waiting and busy_until <= bench.now:
            bench.a_run_takes(1)
            busy_until += run
            served += 1
        if busy_until <= bench.now and not bench.waiting:
            busy_until = bench.now + run
            bench.lines.served(MODEL)
            served += 1
        else:
            bench.asks()
    assert served * run / 60 >= 0.9


@pytest.mark.parametrize("calm_seconds", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("factor", [2.0, 3.0, 10.0])
def test_in_an_open_loop_the_place_is_always_busy_and_nobody_waits_long(factor: float, calm_seconds: float) -> None:
    """A model of 5 ms a run, asked ``factor`` times as often as it can answer, for ten seconds after calm ones."""
    run, bench = 0.005, Bench(most=64)
    for _ in range(int(calm_seconds / (2 * run))):
        bench.asks()
        bench.a_run_takes(1)
        bench.now += 2 * run
    arrivals: dict[Ticket, float] = {}
    waits: list[tuple[float, float]] = []
    free_at, idle, next_arrival, begun = bench.now, 0.0, bench.now, bench.now
    while bench.now < begun + 10:
        bench.now = next_arrival
        next_arrival += run / factor
        while bench.waiting and free_at <= bench.now:
            waits.append((free_at - begun, free_at - arrivals.pop(bench.waiting[0])))
            bench.a_run_takes(1)
            free_at += run
        if free_at <= bench.now and not bench.waiting:
            idle += bench.now - free_at
            free_at = bench.now + run
            bench.lines.served(MODEL)
        elif bench.asks():
            arrivals[bench.waiting[-1]] = bench.now
    settled = sorted(wait for at, wait in waits if at > 1.0)
    assert idle <= 0.01 * 10
    assert settled[int(0.99 * len(settled))] <= HEAVY_RUNS * run + 1e-6
