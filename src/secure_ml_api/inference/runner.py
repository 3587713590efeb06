"""Every run of a model: a caller's rows alone, or merged with the rows of those who wait and split again afterwards.

A run that is worth waiting for happens in a thread of its own, so that its caller can stop waiting. A quick one happens
where it is asked for: handing it over would cost more than the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from threading import TIMEOUT_MAX, Lock
from typing import cast

from ..errors import DeadlineExceeded
from ..models.model import Model
from ..setting_sections import BatchingSettings, InferenceSettings
from ..telemetry.metrics import ModelMetrics
from ..tensors import Tensors
from .admission import Admission
from .batching import Batching
from .job import Bell, Job, Place
from .run_threads import RunThreads
from .runs import LATE, TOO_LONG, Runs
from .ticket import Standing
from .watchdog import Watchdog

_LATE_IN_LINE = "the deadline passed while the request waited for its run"


class Runner(Runs):
    """The models' runs in one worker, within the bounds of its admission; safe to build before a fork."""

    def __init__(
        self,
        admission: Admission,
        batching: BatchingSettings,
        inference: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen
    ) -> None:
        self.admission = admission
        self.batching = Batching(batching)
        super().__init__(
            Watchdog(inference.run_limit_seconds, inference.max_abandoned_runs, distrust=self.batching.distrust)
        )
        self._threads = RunThreads()
        self.inside: set[Job] = set()
        """Those whose callers wait, for a place or for the end of a run."""

    def start_worker(self, on_hang: Callable[[Model, float], None]) -> None:
        """Measure, after the fork, what handing a place over costs here, and let the watchdog watch.

        ``on_hang`` is told, once, of a run that does not end: its model, and for how many seconds it has been seen.
        """
        self.batching.measure_hand_over()
        self.watchdog.start(on_hang)

    def find_room(self, model: Model, client: str) -> None:
        """Raise Overloaded if a request of ``client`` would find no room in the line for ``model``."""
        if self.admission.waiting and not self.batching.is_quick(model, 1):
            self.admission.check(model, client)

    def run(self, job: Job, metrics: ModelMetrics) -> Tensors:
        """The outputs that ``job`` wants, for its rows alone.

        Raises Overloaded, DeadlineExceeded when the answer would come too late, whatever the run is doing then, and
        InferenceFailed when the model raises on just these rows.
        """
        asked_at = time.perf_counter()
        try:
            if self.batching.is_quick(job.model, job.rows):
                job.is_quick = True
                self._alone(job, metrics)
            else:
                self._in_line(job, metrics)
        finally:
            if job.started_at is not None:
                metrics.queue_seconds.observe(job.started_at - asked_at)
        return job.outputs

    def run_each(self, jobs: Sequence[Job], metrics: ModelMetrics) -> None:
        """Run ``jobs`` of one model, asked for at once in one thread: as one run where that is quick and pays.

        Each has its outputs afterwards, or the ``error`` that ``run`` would have raised.
        """
        asked_at = time.perf_counter()
        if self.batching.are_quicker_together(jobs[0].model, sum(job.rows for job in jobs)):
            for job in jobs:
                job.is_quick = True
            if self._merged(jobs, metrics):
                metrics.queue_seconds.observe((jobs[0].started_at or asked_at) - asked_at, len(jobs))
                return
        for job in jobs:
            try:
                if jobs[0].was_stopped:
                    raise DeadlineExceeded(TOO_LONG)
                self.run(job, metrics)
            except Exception as error:  # noqa: BLE001 - for the caller
                job.error = error

    def begin(self, job: Job, metrics: ModelMetrics, when_over: Callable[[], None]) -> None:
        """``run`` without waiting: ``when_over`` is called, in any thread, when ``job`` has its outputs or its error.

        Whoever asks has to ``give_up`` when its deadline passes before. Raises Overloaded.
        """
        asked_at = time.perf_counter()

        def is_over() -> None:
            self.inside.discard(job)
            if job.started_at is not None:
                metrics.queue_seconds.observe(job.started_at - asked_at)
            when_over()

        def is_called() -> None:
            if job.standing is Standing.SEATED:
                self._threads.begin(begin)
                return
            if job.standing is Standing.LATE:
                job.error = DeadlineExceeded(_LATE_IN_LINE)
            is_over()

        begin = partial(copy_context().run, self._lead, job, metrics)
        job.over = Bell(is_over)
        job.gate = Bell(is_called)
        self.inside.add(job)
        try:
            if self.admission.line_up(job):
                try:
                    is_called()
                except BaseException:
                    self.admission.leave()
                    raise
        except BaseException:
            self.inside.discard(job)
            raise

    def give_up(self, job: Job) -> None:
        """Nobody waits any more for a ``job`` that was begun."""
        self.inside.discard(job)
        self.admission.withdraw(job)
        if job.error is None:
            job.error = DeadlineExceeded(LATE)

    def _in_line(self, job: Job, metrics: ModelMetrics) -> None:
        self.inside.add(job)
        try:
            if self.admission.enter(job):
                self._wait_for(job, metrics)
        finally:
            self.inside.discard(job)

    def _wait_for(self, job: Job, metrics: ModelMetrics) -> None:
        """Have ``job``, which has a place, run in another thread; raises what that raises, or DeadlineExceeded."""
        job.over = Lock()
        job.over.acquire()
        try:
            self._threads.begin(partial(copy_context().run, self._lead, job, metrics))
        except BaseException:
            self.admission.leave()
            raise
        if not job.over.acquire(timeout=min(max(0.0, job.deadline.remaining_seconds()), TIMEOUT_MAX)):
            raise DeadlineExceeded(LATE)
        if job.error is not None:
            raise job.error

    def _lead(self, job: Job, metrics: ModelMetrics) -> None:
        """In a thread of the runs: run ``job`` with the company that it finds; never raises."""
        served: Sequence[Job] = ()
        job.place = Place(self.admission)
        job.gate = Lock()  # where it may linger
        job.gate.acquire()
        try:
            job.deadline.check()
            company = self._company(job)
            if company and self._together([job, *company], metrics):
                served = company
            else:
                self._alone(job, metrics)
        except BaseException as error:  # noqa: BLE001 - for the thread of the caller, if it still waits
            job.error = error
        job.place.give_back()
        # Only now, so that the next run is under way while this one's callers are woken.
        job.over.release()
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
        succeeded = False
        try:
            succeeded = self._merged(jobs, metrics)
        finally:
            if not succeeded:
                self.admission.send_back(jobs[1:])
        return succeeded
