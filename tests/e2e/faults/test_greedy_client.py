"""One client that asks for far more than its part, and others who must not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from support.fault_table import Figures
from support.open_loop import OpenLoop
from support.outcome import Outcome
from support.under_load import Loaded, milliseconds, overloadable

OTHERS = 3
MUST_HOLD = "other clients ≥ 99.4 % served"
ROW = {"features": [1, 2, 3, 4]}


class Clients(NamedTuple):
    """What clients of one server send: the one that may ask 20 times a second, the one without a quota, the others."""

    loaded: Loaded
    worker_class: str
    limited: bytes
    endless: bytes
    others: tuple[bytes, ...]


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def clients(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clients]:
    """A model of 5 ms on one place: 200 answers a second at the most."""
    home, full = tmp_path_factory.mktemp("greedy") / "home", bool(pytestconfig.getoption("--figures"))
    with overloadable(home, request.param, "sleeper", ROW, apart=full, sleeps=True) as loaded:
        limited = loaded.caller("limited", rate="20/second")
        others = tuple(loaded.caller(f"modest {number}") for number in range(OTHERS))
        yield Clients(loaded, request.param, limited, loaded.caller("endless"), others)


def together(
    clients: Clients, greedy: bytes, greedy_rate: float, rate: float, seconds: float
) -> tuple[Outcome, Outcome]:
    """What became of the requests of ``greedy``, and of the others with ``rate`` requests a second each."""
    port = clients.loaded.running.port
    with ExitStack() as loads:
        flood = loads.enter_context(OpenLoop(port, greedy, rate=greedy_rate, seconds=seconds + 0.5))
        flood.wait_for_flow()
        others = [loads.enter_context(OpenLoop(port, other, rate=rate, seconds=seconds)) for other in clients.others]
    return flood.outcome, Outcome([answer for other in others for answer in other.outcome.answers])


def told(flood: Outcome, others: Outcome) -> str:
    statuses = ", ".join(f"{number} × {status or 'lost'}" for status, number in sorted(flood.statuses().items()))
    worst = f"p50 {milliseconds(others.of(200).latency(50))}, p99 {milliseconds(others.of(200).latency(99))}"
    return f"others: {others.share(200):.2%} of {len(others.answers)} served, {worst}; the greedy one: {statuses}"


def test_a_client_at_ten_times_its_quota_costs_the_others_nothing(
    clients: Clients, figures: Figures, full: bool
) -> None:
    flood, others = together(clients, clients.limited, 200, 15, 20.0 if full else 2.0)
    figures.add(
        f"one client at 10 × its quota, {clients.worker_class}",
        f"200 requests/s of a client that may ask 20; {OTHERS} others with 15/s each; a model of 5 ms",
        told(flood, others),
        must_hold=MUST_HOLD,
    )
    assert set(flood.statuses()) <= {200, 429, 503}
    assert flood.share(429) >= 0.8
    assert others.share(200) >= (0.994 if full else 0.95)


def test_a_client_without_a_quota_that_floods_a_model_keeps_nobody_else_out(
    clients: Clients, figures: Figures, full: bool
) -> None:
    flood, others = together(clients, clients.endless, 1000, 15, 20.0 if full else 2.0)
    figures.add(
        f"one client floods a model, {clients.worker_class}",
        f"1000 requests/s of one client, 5 × what the model can do; {OTHERS} others with 15/s each; a model of 5 ms",
        told(flood, others),
        must_hold=MUST_HOLD,
    )
    assert set(flood.statuses()) == {200, 503}
    # However busy the machine is: without shares the others would fare as the greedy one does.
    assert others.share(200) >= (0.994 if full else 2 * flood.share(200))
