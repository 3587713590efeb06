"""The spine and the runs of models with spans around them: what the application is built of when tracing is on.

The steps are wrapped, and the runner is another, once: when tracing is off, nothing of this file is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..setting_sections import BatchingSettings, InferenceSettings
from ..telemetry.metrics import ModelMetrics
from ..tensors import Tensors
from .admission import Admission
from .call import Call, Visit
from .job import Job
from .runner import Runner
from .services import Guard, Services, Steps
from .spine import GUARD, STEPS

if TYPE_CHECKING:
    from ..telemetry.tracing import Attributes, Span, Tracing

V = TypeVar("V", bound=Visit)


class Way(NamedTuple):
    """What requests go through."""

    steps: Steps
    guard: Guard
    runner: Callable[[Admission, BatchingSettings, InferenceSettings], Runner]


def way(tracing: Tracing | None) -> Way:
    """The spine as it is written, or with spans around it."""
    if tracing is None:
        return Way(STEPS, GUARD, Runner)
    return Way(traced_steps(STEPS, tracing), traced_steps(GUARD, tracing), partial(TracedRunner, tracing))


def traced_steps(
    steps: tuple[Callable[[V, Services], None], ...], tracing: Tracing
) -> tuple[Callable[[V, Services], None], ...]:
    """``steps``, each with a span of its name around it; what a step finds out is told by the request's span."""
    return tuple(_traced(step, tracing) for step in steps)


def _traced(step: Callable[[V, Services], None], tracing: Tracing) -> Callable[[V, Services], None]:
    name = step.__name__
    found = _FOUND.get(name)

    @wraps(step)
    def in_span(visit: V, services: Services) -> None:
        request = tracing.recorded()
        if request is None:
            step(visit, services)
            return
        with tracing.span(name):
            step(visit, services)
        if found is not None:
            request.set_attributes(found(visit))

    return in_span


def _who(visit: Visit) -> Attributes:
    return {"secure_ml_api.client_id": visit.principal.client_id}


def _which(call: Call) -> Attributes:
    return {"secure_ml_api.model.name": call.model.name, "secure_ml_api.model.version": call.model.version}


def _how_much(call: Call) -> Attributes:
    return {"secure_ml_api.rows": call.question.rows}


_FOUND: dict[str, Callable[[Any], Attributes]] = {"authenticate": _who, "resolve": _which, "decode": _how_much}


class TracedRunner(Runner):
    """A Runner that tells, of each run, how long it was waited for and how long it took.

    Several callers' run has one span, in the trace of the first of them, with links to the spans of all; and each of
    those has a link to it.
    """

    def __init__(
        self, tracing: Tracing, admission: Admission, batching: BatchingSettings, inference: InferenceSettings
    ) -> None:
        super().__init__(admission, batching, inference)
        self._tracing = tracing
        self._callers: dict[Job, Span] = {}
        """The recorded spans of those whose callers wait."""

    def run(self, job: Job, metrics: ModelMetrics) -> Tensors:
        if self._tracing.recorded() is None:
            return super().run(job, metrics)
        began_ns, began_at = time.time_ns(), time.perf_counter()
        self._callers[job] = self._tracing.current()
        try:
            return super().run(job, metrics)
        finally:
            self._callers.pop(job, None)
            if not job.is_quick:
                waited_until = job.started_at or time.perf_counter()
                self._tracing.passed("wait", began_ns, began_ns + int((waited_until - began_at) * 1e9))

    def _alone(self, job: Job, metrics: ModelMetrics) -> None:
        if self._tracing.recorded() is None:
            super()._alone(job, metrics)
            return
        with self._tracing.span("infer") as span:
            span.set_attribute("secure_ml_api.rows", job.rows)
            super()._alone(job, metrics)

    def _together(self, jobs: Sequence[Job], metrics: ModelMetrics) -> bool:
        callers = [span for span in map(self._callers.get, jobs) if span is not None]
        if not callers:
            return super()._together(jobs, metrics)
        contexts = [caller.get_span_context() for caller in callers]
        with self._tracing.span("infer together", parent=contexts[0], links=contexts) as span:
            span.set_attributes(
                {"secure_ml_api.rows": sum(job.rows for job in jobs), "secure_ml_api.callers": len(jobs)}
            )
            for caller in callers:
                caller.add_link(span.get_span_context())
            succeeded = super()._together(jobs, metrics)
            span.set_attribute("secure_ml_api.succeeded", succeeded)
            return succeeded
