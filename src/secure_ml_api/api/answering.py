"""What both doors do the same way: a call becomes an answer, an answer gets its headers, and both are seen."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Overloaded, QuotaExceeded, Refusal
from ..inference.call import Call, Visit
from ..inference.services import Services
from ..inference.spine import predict
from ..quota.headers import ratelimit_headers
from ..telemetry.client_certificates import ClientCertificate
from ..telemetry.logs import Access, log_access
from ..wire.question import Answer
from .problems import http_answer, refusal_answer

if TYPE_CHECKING:
    from ..quota.standings import Standing

log = logging.getLogger(__name__)

Headers = list[tuple[str, str]]

# Sent with every answer: nothing here is a page that may be framed, sniffed, cached or read across origins.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def answer_call(call: Call, services: Services, *, oip: bool) -> Answer:
    """The answer of the spine, or the problem that says what stopped it; never raises."""
    try:
        return predict(call, services)
    except Exception as error:  # noqa: BLE001 - the last handler: whatever it is, the caller gets a documented answer
        return answer_stopped(error, call, services, oip=oip)


def answer_stopped(error: Exception, call: Call, services: Services, *, oip: bool) -> Answer:
    """The problem that says what stopped ``call``."""
    if isinstance(error, Refusal):
        return answer_refusal(error, call, services, oip=oip)
    return answer_unexpected(error, call.request_id, oip=oip)


def answer_refusal(
    refusal: Refusal, visit: Visit | None, services: Services, *, oip: bool, request_id: str = ""
) -> Answer:
    """The problem for ``refusal``, counted by its reason."""
    services.metrics.rejected(refusal.reason)
    if isinstance(refusal, Overloaded) and isinstance(visit, Call):
        services.reception.remember(visit)
    if isinstance(refusal, QuotaExceeded) and visit is not None:
        refusal.standings = _together(visit.standings, refusal.standings)
    return refusal_answer(refusal, visit.request_id if visit is not None else request_id, oip=oip)


def answer_unexpected(error: Exception, request_id: str, *, oip: bool) -> Answer:
    """The problem for an error that nobody foresaw: logged whole, told to the caller by its request id alone."""
    log.error("unexpected error", exc_info=error)
    return http_answer(500, request_id, oip=oip)


def headers_of(answer: Answer, visit: Visit) -> Headers:
    """All headers of an answer to ``visit``, its length apart."""
    headers = [("Content-Type", answer.content_type), *answer.headers]
    if visit.standings and not (answer.headers and any(name == "RateLimit" for name, _ in answer.headers)):
        headers += ratelimit_headers(visit.standings).items()
    headers += SECURITY_HEADERS.items()
    headers.append(("X-Request-Id", visit.request_id))
    return headers


class Seen(NamedTuple):
    """One request that was answered ``at`` this second of the wall clock, ``seconds`` after it was taken up.

    ``route`` is the template of its rule, never what the caller wrote; ``visit`` is None where there was no guard.
    """

    visit: Visit | None
    request_id: str
    address: str
    method: str
    path: str
    route: str
    status: int
    seconds: float
    at: float
    certificate: ClientCertificate | None


def count(services: Services, *seen: Seen) -> None:
    """Count requests; before their answers are sent, as a worker that is killed in between would lose them."""
    answered = services.metrics.request_answered
    for one in seen:
        answered(one.route, one.method, one.status, one.seconds)


def log_seen(*seen: Seen) -> None:
    """Write the access lines of requests; may be called some time after the answers."""
    accesses = []
    for visit, request_id, address, method, path, route, status, seconds, at, certificate in seen:
        client_id = visit.principal.client_id if visit is not None and visit.is_authenticated else None
        accesses.append(
            Access(request_id, method, path, route, status, seconds, at, address, client_id, certificate),
        )
    log_access(*accesses)


def _together(earlier: Iterable[Standing], later: Iterable[Standing]) -> tuple[Standing, ...]:
    """One standing of each quota: where both tell of one, ``earlier``, which is what the request was charged."""
    by_name = {standing.name: standing for standing in (*later, *earlier)}
    return tuple(by_name.values())
