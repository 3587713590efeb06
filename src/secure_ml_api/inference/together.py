"""Several calls that have come at once, walked down the spine side by side: each step is taken by all before the next.

What a step does for one call after the other costs a fraction of what it costs between two other steps, as its code and
data are in the processor's caches then; and two steps are taken as one for all: one transaction for all charges, one
run for the rows of all that ask the same model. A run that is not quick happens in a thread of its own, and whoever
walks here does not wait for it: the call is *parked*, and ends its way later, together with others. Every call ends as
it would have ended alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from ..auth.principal import Principal
from ..errors import QuotaExceeded, Refusal
from ..models.model import Model
from ..telemetry.request_ids import current_request_id
from .call import Call
from .job import Job
from .outcomes import failure, outcomes
from .services import Services
from .spine import asked_by, authenticate, charge, charge_mistake, encode, job_of, run

Step = Callable[[Call, Services], None]
Over = Callable[[Call], None]


def walk(calls: Sequence[Call], services: Services, over: Over) -> None:
    """Walk ``calls`` down all the steps.

    Each has its ``answer`` then, or was ``stopped_by`` something, or has a ``job``: it is parked, and ``over`` is
    called with it, in any thread, when it can ``arrive``.
    """
    for step in services.steps:
        going = [call for call in calls if call.stopped_by is None and call.job is None]
        if step is run:
            _run_all(going, services, over)
        elif len(going) > 1 and step in _AT_ONCE:
            _AT_ONCE[step](going, services)
        else:
            _each(step, going, services)
    _leave([call for call in calls if call.job is None], services)


def arrive(calls: Sequence[Call], services: Services) -> None:
    """The rest of the way of ``calls`` that were parked: each has its ``answer`` then, or was ``stopped_by`` something.

    For one whose run is not over its deadline has passed.
    """
    by_model: dict[Model, list[tuple[Call, Job]]] = {}
    for call in calls:
        if call.job is not None:
            by_model.setdefault(call.model, []).append((call, call.job))
    for model, runs in by_model.items():
        _take_outputs(model, runs, services)
    _each(encode, [call for call in calls if call.stopped_by is None], services)
    _leave(calls, services)


def _leave(calls: Sequence[Call], services: Services) -> None:
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
    """Those that are answered before anything else happens are one request in flight; who has to wait is one alone."""
    limiter = services.limiter
    is_quick = services.runner.batching.is_quick
    quick: list[Call] = []
    slow: list[Call] = []
    _each(charge, [call for call in calls if call.standings], services)  # those that have begun anew
    for call in calls:
        if not call.standings:
            (quick if is_quick(call.model, call.question.rows) else slow).append(call)
    for charged, admit in ((slow, limiter.admit_apart), (quick, limiter.admit_each)):
        answers = admit([asked_by(call) for call in charged]) if charged else ()
        if answers is None:
            _each(charge, charged, services)
            continue
        for call, answer in zip(charged, answers, strict=True):
            if isinstance(answer, QuotaExceeded):
                call.stopped_by = answer
            else:
                call.standings, call.lease = answer


def _run_all(calls: Sequence[Call], services: Services, over: Over) -> None:
    is_quick = services.runner.batching.is_quick
    by_model: dict[Model, list[Call]] = {}
    for call in calls:
        if not is_quick(call.model, call.question.rows):
            _each(partial(_park, over=over), (call,), services)
        else:
            by_model.setdefault(call.model, []).append(call)
    for model, its_calls in by_model.items():
        # Of a model on trial each call is timed and shown to others by itself.
        if len(its_calls) == 1 or services.registry.has_trials:
            _each(run, its_calls, services)
        else:
            _run_together(model, its_calls, services)


def _park(call: Call, services: Services, over: Over) -> None:
    metrics = services.metrics.for_model(call.model.name, call.model.version)
    # Its job before it begins: where a thread walks here, the end of the run may come first.
    call.job = job = job_of(call)
    try:
        services.runner.begin(job, metrics, partial(over, call))
    except BaseException as error:
        call.job = None
        if isinstance(error, Refusal):
            metrics.predicted(failure(error), job.rows)
        raise


def _run_together(model: Model, calls: Sequence[Call], services: Services) -> None:
    jobs = [job_of(call) for call in calls]
    services.runner.run_each(jobs, services.metrics.for_model(model.name, model.version))
    _take_outputs(model, list(zip(calls, jobs, strict=True)), services)


def _take_outputs(model: Model, runs: Sequence[tuple[Call, Job]], services: Services) -> None:
    """What came of the runs of one model, for each call and in the metrics."""
    metrics = services.metrics.for_model(model.name, model.version)
    counts: Counter[str] = Counter()
    answered_rows = 0
    for call, job in runs:
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
            services.drift.offer(model, job.inputs, job.rows)
            for outcome, rows in outcomes(model.signature, job.outputs, job.rows):
                counts[outcome] += rows
    metrics.rows.inc(answered_rows)
    for outcome, rows in counts.items():
        metrics.predicted(outcome, rows)


_AT_ONCE: dict[Step, Callable[[Sequence[Call], Services], None]] = {
    authenticate: _authenticate_all,
    charge: _charge_all,
}
