"""Every run of a model: a caller's rows alone, or merged with the rows of those who wait and split again afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import cast

from ..errors import InferenceFailed
from ..models.model import Model
from ..settings import BatchingSettings
from ..telemetry.metrics import ModelMetrics
from ..tensors import Tensors
from .admission import Admission, Ticket
from .batch import merge, split
from .batching import Batching
from .deadline import Deadline

log = logging.getLogger(__name__)


class Job(Ticket):
    """One caller's rows on their way through a run; a part of a batch."""

    __slots__ = ("inputs", "model", "outputs", "started_at", "wanted")

    def __init__(self, model: Model, inputs: Tensors, rows: int, wanted: tuple[str, ...], deadline: Deadline) -> None:
        super().__init__(deadline, model, rows)
        self.model = model
        self.inputs = inputs
        self.wanted = wanted
        self.outputs: Tensors
        self.started_at: float | None = None
        """When its run began, on the clock of ``time.perf_counter``."""


class Runner:
    """The models' runs in one worker, within the bounds of its admission; safe to build before a fork."""

    def __init__(self, admission: Admission, batching: BatchingSettings) -> None:
        self.admission = admission
        self.batching = Batching(batching)

    def start_worker(self) -> None:
        """Measure, after the fork, what handing a place over costs here."""
        self.batching.measure_hand_over()

    def run(self, job: Job, metrics: ModelMetrics) -> Tensors:
        """The outputs that ``job`` wants, for its rows alone.

        Raises Overloaded, DeadlineExceeded when the run would begin too late or takes another along for too long, and
        InferenceFailed when the model raises on just these rows.
        """
        asked_at = time.perf_counter()
        try:
            if self.batching.is_quick(job.model, job.rows):
                job.deadline.check()
                self._alone(job, metrics)
            elif self.admission.enter(job):
                self._lead(job, metrics)
        finally:
            if job.started_at is not None:
                metrics.queue_seconds.observe(job.started_at - asked_at)
        return job.outputs

    def _lead(self, job: Job, metrics: ModelMetrics) -> None:
        """Run ``job``, which has a place and gives it back, with the company that it finds."""
        served: Sequence[Job] = ()
        try:
            job.deadline.check()
            company = self._company(job)
            if company and self._together([job, *company], metrics):
                served = company
            else:
                self._alone(job, metrics)
        finally:
            self.admission.leave()
        # Only now, so that the next run is under way while this one's callers are woken.
        if served:
            self.admission.serve(served)

    def _company(self, job: Job) -> list[Job]:
        """Those who wait for a run of the same model and fit into this one."""
        if job.kind is None:
            return []
        most_rows, linger_seconds = self.batching.bounds(job.model)
        if most_rows <= job.rows:
            return []
        return cast("list[Job]", self.admission.company(job, most_rows, linger_seconds))

    def _together(self, jobs: Sequence[Job], metrics: ModelMetrics) -> bool:
        """Run ``jobs`` as one; False when that failed, and all but the first are back in the line."""
        model = jobs[0].model
        try:
            batch = merge(jobs)
            started_at = time.perf_counter()
            outputs = model.session.run(batch.inputs, batch.wanted)
            seconds = time.perf_counter() - started_at
            answers = [
                {name: part[name] for name in job.wanted}
                for job, part in zip(jobs, split(outputs, batch.row_counts), strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one caller's and not the others'
            self.admission.send_back(jobs[1:])
            told = {"model": model.name, "version": model.version, "callers": len(jobs), "error": type(error).__name__}
            log.warning("a merged run failed; each of its callers is run alone", extra=told)
            return False
        except BaseException:
            self.admission.send_back(jobs[1:])
            raise
        for job, answer in zip(jobs, answers, strict=True):
            job.outputs, job.started_at = answer, started_at
        _count_run(metrics, seconds, sum(batch.row_counts))
        return True

    def _alone(self, job: Job, metrics: ModelMetrics) -> None:
        model = job.model
        job.started_at = started_at = time.perf_counter()
        try:
            job.outputs = model.session.run(job.inputs, job.wanted)
        except Exception as error:
            log.exception("inference failed", extra={"model": model.name, "version": model.version})
            raise InferenceFailed from error
        _count_run(metrics, time.perf_counter() - started_at, job.rows)


def _count_run(metrics: ModelMetrics, seconds: float, rows: int) -> None:
    metrics.inference_seconds.observe(seconds)
    metrics.batch_rows.observe(rows)
