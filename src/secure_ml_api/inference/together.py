"""Several calls that have come at once, walked down the spine side by side: each step is taken by all before the next.

What a step does for one call after the other costs a fraction of what it costs between two other steps, as its code and
data are in the processor's caches then; and two steps are taken as one for all: one transaction for all charges, one
run for the rows of all that ask the same model. Every call ends as it would have ended alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ..auth.principal import Principal
from ..errors import QuotaExceeded, Refusal
from ..models.model import Model
from ..telemetry.request_ids import current_request_id
from .call import Call
from .outcomes import failure, outcomes
from .services import Services
from .spine import asked_by, authenticate, charge, charge_mistake, job_of, run

Step = Callable[[Call, Services], None]


def predict_together(calls: Sequence[Call], services: Services) -> None:
    """Walk ``calls`` down all the steps; each has its ``answer`` then, or was ``stopped_by`` something."""
    going = calls
    for step in services.steps:
        if step in _AT_ONCE and len(going) > 1:
            _AT_ONCE[step](going, services)
        else:
            _each(step, going, services)
        going = [call for call in going if call.stopped_by is None]
    for call in calls:
        if isinstance(call.stopped_by, Refusal):
            try:
                charge_mistake(call, call.stopped_by, services)
            except Exception as error:  # noqa: BLE001 - for the caller
                call.stopped_by = error
    for call in calls:
        call.leave()
    current_request_id.set(None)


def _each(step: Step, calls: Sequence[Call], services: Services) -> None:
    for call in calls:
        current_request_id.set(call.request_id)
        try:
            step(call, services)
        except Exception as error:  # noqa: BLE001 - for the caller
            call.stopped_by = error


def _authenticate_all(calls: Sequence[Call], services: Services) -> None:
    """Whom a token stands for, it stands for in all requests of this instant; who is refused is refused each time."""
    principals: dict[str | None, Principal] = {}
    for call in calls:
        principal = principals.get(call.authorization)
        if principal is not None:
            call.principal = principal
            continue
        _each(authenticate, (call,), services)
        if call.stopped_by is None:
            principals[call.authorization] = call.principal


def _charge_all(calls: Sequence[Call], services: Services) -> None:
    answers = services.limiter.admit_each([asked_by(call) for call in calls])
    if answers is None:
        _each(charge, calls, services)
        return
    for call, answer in zip(calls, answers, strict=True):
        if isinstance(answer, QuotaExceeded):
            call.stopped_by = answer
        else:
            call.standings, call.lease = answer


def _run_all(calls: Sequence[Call], services: Services) -> None:
    by_model: dict[Model, list[Call]] = {}
    for call in calls:
        by_model.setdefault(call.model, []).append(call)
    for model, its_calls in by_model.items():
        # Of a model on trial each call is timed and shown to others by itself.
        if len(its_calls) == 1 or services.registry.has_trials:
            _each(run, its_calls, services)
        else:
            _run_together(model, its_calls, services)


def _run_together(model: Model, calls: Sequence[Call], services: Services) -> None:
    metrics = services.metrics.for_model(model.name, model.version)
    jobs = [job_of(call) for call in calls]
    services.runner.run_each(jobs, metrics)
    counts: Counter[str] = Counter()
    answered_rows = 0
    for call, job in zip(calls, jobs, strict=True):
        try:
            if job.error is not None:
                raise job.error
            call.deadline.check()
        except Refusal as refusal:
            counts[failure(refusal)] += job.rows
            call.stopped_by = refusal
        except Exception as error:  # noqa: BLE001 - for the caller
            call.stopped_by = error
        else:
            call.outputs = job.outputs
            answered_rows += job.rows
            for outcome, rows in outcomes(model.signature, job.outputs, job.rows):
                counts[outcome] += rows
    metrics.rows.inc(answered_rows)
    for outcome, rows in counts.items():
        metrics.predicted(outcome, rows)


_AT_ONCE: dict[Step, Callable[[Sequence[Call], Services], None]] = {
    authenticate: _authenticate_all,
    charge: _charge_all,
    run: _run_all,
}
