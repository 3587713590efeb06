"""One run of a model, under the eyes of the watchdog: for one caller's rows, or for those of several."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from threading import get_ident

from ..errors import DeadlineExceeded, InferenceFailed
from ..telemetry.metrics import ModelMetrics
from ..tensors import Tensors
from .batch import merge, split
from .job import Job
from .watchdog import Watchdog

log = logging.getLogger(__name__)

LATE = "the deadline passed while the model ran"
TOO_LONG = "the run took far longer than this model's runs do; asked again, it is given more time"


class Runs:
    """The runs themselves; who waits for them, and where, is the business of ``Runner``."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog

    def _merged(self, jobs: Sequence[Job], metrics: ModelMetrics) -> bool:
        """Run ``jobs`` as one; False when that failed, and nobody has an answer."""
        model = jobs[0].model
        try:
            batch = merge(jobs)
            jobs[0].until = max([job.deadline.at for job in jobs])
            started_at = time.perf_counter()
            outputs = self._watched(jobs[0], batch.inputs, batch.wanted)
            seconds = time.perf_counter() - started_at
            answers = [
                {name: part[name] for name in job.wanted}
                for job, part in zip(jobs, split(outputs, batch.row_counts), strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one caller's and not the others'
            if jobs[0].was_stopped:
                return False  # nobody waited any more
            told = {"model": model.name, "version": model.version, "callers": len(jobs), "error": type(error).__name__}
            log.warning("a merged run failed; each of its callers is run alone", extra=told)
            return False
        for job, answer in zip(jobs, answers, strict=True):
            job.outputs, job.started_at = answer, started_at
        _count_run(metrics, seconds, sum(batch.row_counts))
        return True

    def _alone(self, job: Job, metrics: ModelMetrics) -> None:
        job.deadline.check()
        model = job.model
        job.started_at = started_at = time.perf_counter()
        try:
            job.outputs = self._watched(job, job.inputs, job.wanted)
        except Exception as error:
            if job.was_stopped:
                raise DeadlineExceeded(TOO_LONG if job.is_quick else LATE) from None
            log.exception("inference failed", extra={"model": model.name, "version": model.version})
            raise InferenceFailed from error
        _count_run(metrics, time.perf_counter() - started_at, job.rows)

    def _watched(self, job: Job, inputs: Tensors, wanted: Sequence[str]) -> Tensors:
        """Call the session, under the eyes of the watchdog, for the run that ``job`` leads."""
        session, running, thread = job.model.session, self.watchdog.running, get_ident()
        handle = getattr(session, "handle", None)
        running[thread] = job
        try:
            if handle is None:
                return session.run(inputs, wanted)
            job.handle = handle()
            answer: Tensors = session.run_with(job.handle, inputs, wanted)  # type: ignore[attr-defined]
            return answer
        finally:
            del running[thread]


def _count_run(metrics: ModelMetrics, seconds: float, rows: int) -> None:
    metrics.inference_seconds.observe(seconds)
    metrics.batch_rows.observe(rows)
