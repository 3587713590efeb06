"""Whole requests through both doors, without a server around them, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Bench
from secure_ml_api.api.problems import refusal_answer
from secure_ml_api.errors import Misfit, SignatureMismatch

KINDS = ("1 row", "1000 x 30 JSON", "1000 x 30 binary")


@pytest.mark.parametrize("kind", KINDS)
def test_fast_lane(bench: Bench, benchmark: Any, kind: str) -> None:
    lane = bench.application.app.wsgi_app

    benchmark.group = f"a request, {kind}"
    assert benchmark(bench.asker(lane, kind)) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_flask(bench: Bench, benchmark: Any, kind: str) -> None:
    behind = bench.application.app.wsgi_app.behind  # type: ignore[attr-defined]

    benchmark.group = f"a request, {kind}"
    assert benchmark(bench.asker(behind, kind)) == 200


@pytest.mark.parametrize("traced", [None, 0.0, 0.01, 1.0], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_traced(traced: Bench, benchmark: Any, kind: str) -> None:
    """The fast lane; the parameter is the part of the requests that is recorded, None for an untraced one."""
    benchmark.group = f"a request, {kind}"
    assert benchmark(traced.asker(traced.application.app.wsgi_app, kind)) == 200


@pytest.mark.parametrize("watched", [False, True])
def test_drift(bench: Bench, benchmark: Any, watched: bool) -> None:
    """The fast lane; whether its rows are compared with the sample of the package."""
    services = bench.services
    services.drift.watch(services.registry.models() if watched else ())

    benchmark.group = "a request, 1 row"
    assert benchmark(bench.asker(bench.application.app.wsgi_app, "1 row")) == 200
    services.drift.watch(services.registry.models())


@pytest.mark.parametrize("misfits", [0, 100])
def test_problem(benchmark: Any, misfits: int) -> None:
    refusal = SignatureMismatch(
        "some rows do not fit the model", [Misfit("expected a number", row=i, feature="a") for i in range(misfits)]
    )

    benchmark.group = "a refusal"
    assert benchmark(refusal_answer, refusal, "benchmark", oip=False).status == 422
