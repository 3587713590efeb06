"""Each step of the spine on requests that have come so far; a step that is added is measured without a line here."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Bench
from secure_ml_api.inference.spine import STEPS, predict

KINDS = ("1 row", "1000 x 30 JSON", "1000 x 30 binary")
# These never look at the body, so one kind of request shows all of them.
_BLIND = {"authenticate", "limit_early", "authorize", "resolve", "charge"}


def _cases() -> list[Any]:
    return [
        pytest.param(kind, step, id=f"{step.__name__}, {kind}")
        for kind in KINDS
        for step in STEPS
        if kind == KINDS[0] or step.__name__ not in _BLIND
    ]


@pytest.mark.parametrize(("kind", "step"), _cases())
def test_step(bench: Bench, benchmark: Any, kind: str, step: Any) -> None:
    call = bench.call(kind, before=step.__name__)
    services = bench.services

    def once() -> None:
        step(call, services)
        call.leave()  # what ``charge`` took; nothing for the others

    benchmark.group = f"a step, {kind}"
    benchmark(once)


@pytest.mark.parametrize("kind", KINDS)
def test_all_steps(bench: Bench, benchmark: Any, kind: str) -> None:
    call = bench.call(kind)

    benchmark.group = f"a step, {kind}"
    answer = benchmark(predict, call, bench.services)
    assert answer.status == 200
