"""Every store of counters as libraries see it: what limits and Flask-Limiter count is counted in the same place."""

from __future__ import annotations

from uuid import uuid4

import flask
import flask_limiter
import pytest
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.flask_storage import FlaskLimiterStorage
from secure_ml_api.quota.standings import Charge
from support.quota_backends import Backend


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
