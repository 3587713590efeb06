"""Flask-Limiter on the routes that only Flask serves, over the counters that the spine counts in too."""

from __future__ import annotations

import math
import time

from flask import Flask, Response, g, request
from flask_limiter import Limiter as FlaskLimiter
from flask_limiter import RateLimitExceeded

from ..access_sections import QuotasSettings
from ..errors import QuotaExceeded
from ..quota.addresses import address_subject
from ..quota.limiter import Limiter
from ..quota.standings import Standing
from .door import response_of
from .guard import PUBLIC
from .problems import refusal_answer

# A probe that gets 429 takes a healthy server out of service; these answer from memory and cost next to nothing.
_UNLIMITED = frozenset({"health.live", "health.ready"})


def install_limits(app: Flask, limiter: Limiter, settings: QuotasSettings) -> FlaskLimiter:
    """Limit every public route by address; the routes' own limits come on top, as decorators of what is returned."""
    flask_limiter = FlaskLimiter(
        address_key,
        app=app,
        default_limits=[settings.address],
        default_limits_exempt_when=lambda: request.endpoint not in PUBLIC or request.endpoint in _UNLIMITED,
        strategy="fixed-window",
        storage_uri=limiter.storage_uri,
        storage_options=limiter.storage_options,
        headers_enabled=False,
        swallow_errors=False,
    )

    @app.errorhandler(RateLimitExceeded)
    def exceeded(error: RateLimitExceeded) -> Response:
        current = flask_limiter.current_limit
        reset_seconds = max(1, math.ceil(current.window[0] - time.time())) if current else 1
        rate = error.limit.limit
        standing = Standing("address", rate.amount, rate.get_expiry(), 0, reset_seconds)
        refusal = QuotaExceeded("too many requests from this address", reset_seconds, standings=(standing,))
        return response_of(refusal_answer(refusal, g.request_id, oip=False))

    return flask_limiter


def address_key() -> str:
    """Who sends the request; never empty, as an empty key would lift the limit."""
    return address_subject(g.address)
