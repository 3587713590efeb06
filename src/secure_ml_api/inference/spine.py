"""The way down: one tuple of steps, each of which refuses or finds out one thing about the call.

The order is a promise. Nothing costly is done for a caller who may not ask for it: no signature is checked for an
address that only guesses, no model is looked up for a caller without the scope, no body is read for either.
"""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter

from ..auth.policy import is_scope, predict_scopes, require_scope
from ..errors import InsufficientScope, Overloaded, Refusal, TokenMissing, TokenRefused
from ..quota.addresses import address_subject
from ..quota.limiter import Asked
from ..quota.standings import Charge
from ..wire.compression import compressed, decompressed
from ..wire.question import Answer, Payload
from .call import Call, Visit
from .job import Job
from .outcomes import failure, outcomes
from .services import Guard, Services, Steps


def authenticate(visit: Visit, services: Services) -> None:
    """Token → principal. An address that keeps sending bad tokens is refused before any cryptography."""
    try:
        visit.principal = services.authenticator.authenticate(
            visit.authorization, lambda: services.limiter.peek(*_guesses(visit, services))
        )
    except (TokenMissing, TokenRefused) as refusal:
        cause = refusal.cause if isinstance(refusal, TokenRefused) else refusal.reason
        services.metrics.auth_failed(cause)
        # Charged first: what an address sends past its quota is refused and leaves no line, or it would fill the trail.
        services.limiter.charge(*_guesses(visit, services))
        services.audit.record(
            "token.refused",
            actor=None,
            outcome="refused",
            address=visit.address,
            request_id=visit.request_id,
            cause=cause,
        )
        raise


def _guesses(visit: Visit, services: Services) -> tuple[str, tuple[Charge, ...]]:
    charges = (Charge("failed-authentications", services.quotas.failed_authentications, 1),)
    return address_subject(visit.address), charges


def limit(visit: Visit, services: Services) -> None:
    """One request off the principal's quota, and one place among its requests in flight."""
    principal = visit.principal
    charges = (Charge("requests", principal.requests, 1),)
    visit.standings, visit.lease = services.limiter.admit(_client(visit), charges, principal.concurrency)


def limit_early(call: Call, services: Services) -> None:
    """Refuse a client that is known to have used up its requests; what it asks for is charged when it is known."""
    if not call.standings:
        services.limiter.check(_client(call), Charge("requests", call.principal.requests, 1))


def _client(visit: Visit) -> str:
    return f"client:{visit.principal.client_id}"


def authorize(call: Call, services: Services) -> None:
    """Decided on the model's name alone: a look-up first would tell strangers which models exist.

    A name that no scope can hold (quotes, line ends, …) would be repeated in the refusal, in a header even: for such
    only the scope for any model is asked.
    """
    named, for_any = predict_scopes(call.model_name)
    require(call, services, *((named, for_any) if is_scope(named) else (for_any,)))


def require(visit: Visit, services: Services, *scopes: str) -> None:
    """Raise InsufficientScope, and audit it, unless the principal has one of ``scopes``."""
    try:
        require_scope(visit.principal, *scopes)
    except InsufficientScope as refusal:
        services.audit.record(
            "scope.refused",
            actor=visit.principal.client_id,
            outcome="refused",
            address=visit.address,
            request_id=visit.request_id,
            scope=refusal.scope,
        )
        raise


def resolve(call: Call, services: Services) -> None:
    """Name and version, or alias, → the loaded model; of a model with a canary, the caller's side of it."""
    call.model = services.registry.resolve(call.model_name, call.version, call.principal.client_id)


def find_room(call: Call, services: Services) -> None:
    """Refuse, before the body is read, whoever would be refused for want of room when it has been."""
    services.runner.find_room(call.model, call.principal.client_id)


def decode(call: Call, services: Services) -> None:
    """Body → tensors that fit the model's signature; how long the caller waits shortens the deadline."""
    call.deadline = call.deadline.within(call.request_timeout, call.arrived_at)
    call.dialect.check(call.content_type, call.accept)
    body = decompressed(call.read_body(), call.content_encoding, services.body_limit_bytes)
    payload = Payload(body, call.content_type, call.accept, call.inference_header_length)
    call.question = call.dialect.decode(payload, call.model.signature, services.max_rows)
    call.deadline = call.deadline.sooner(call.question.timeout_seconds)


def charge(call: Call, services: Services) -> None:
    """One request and as many rows as the question has off the principal's quotas, and a place in flight; or none.

    A call that begins anew has been charged and lacks a place alone.
    """
    if call.standings:
        call.lease = services.limiter.enter(_client(call), call.principal.concurrency)
    else:
        call.standings, call.lease = services.limiter.admit(*asked_by(call))


def asked_by(call: Call) -> Asked:
    """What ``call`` asks of its client's quotas."""
    who = call.principal
    return _asked(_client(call), who.requests, who.rows, call.question.rows, who.concurrency)


@lru_cache(maxsize=1024)
def _asked(subject: str, requests: str, rows: str, count: int, places: int) -> Asked:
    return Asked(subject, (Charge("requests", requests, 1), Charge("rows", rows, count)), places)


def run(call: Call, services: Services) -> None:
    """Run the model on the question's rows, alone or together with those of other callers."""
    model, question = call.model, call.question
    metrics = services.metrics.for_model(model.name, model.version)
    job = job_of(call)
    is_tried = services.registry.has_trials and call.version is None
    begun_at = perf_counter()
    try:
        call.outputs = services.runner.run(job, metrics)
        call.deadline.check()
    except Refusal as refusal:
        metrics.predicted(failure(refusal), question.rows)
        if is_tried and not isinstance(refusal, Overloaded):
            services.canaries.saw(model, 0.0, failed=True)
        raise
    if is_tried:
        services.canaries.saw(model, perf_counter() - begun_at, failed=False)
        services.shadows.offer(model, question.inputs, call.outputs)
    services.drift.offer(model, question.inputs, question.rows)
    metrics.rows.inc(question.rows)
    for outcome, rows in outcomes(model.signature, call.outputs, question.rows):
        metrics.predicted(outcome, rows)


def job_of(call: Call) -> Job:
    """What ``call`` wants run."""
    question = call.question
    job = Job(call.model, question.inputs, question.rows, question.wanted, call.deadline)
    job.client = call.principal.client_id
    return job


def encode(call: Call, _: Services) -> None:
    """Tensors → the bytes of the answer, in the caller's protocol."""
    answer = call.question.answer(call.outputs, call.model.name, call.model.version)
    call.answer = compressed(answer, call.accept_encoding)


GUARD: Guard = (authenticate, limit)
STEPS: Steps = (
    authenticate,
    limit_early,
    authorize,
    resolve,
    find_room,
    decode,
    charge,
    run,
    encode,
)


def predict(call: Call, services: Services) -> Answer:
    """Walk ``call`` down all the steps; raises the Refusal of the step that stops it."""
    try:
        for step in services.steps:
            step(call, services)
    except Refusal as refusal:
        charge_mistake(call, refusal, services)
        raise
    finally:
        call.leave()
    return call.answer


def charge_mistake(call: Call, refusal: Refusal, services: Services) -> None:
    """One request off the quota of a call that ``refusal`` has stopped before its charge; raises as ``limit`` does.

    Mistakes are not free. That there is no room is nobody's mistake.
    """
    if call.is_authenticated and not call.standings and not isinstance(refusal, Overloaded):
        charges = (Charge("requests", call.principal.requests, 1),)
        call.standings = services.limiter.charge(_client(call), charges)
