"""Counts what callers see. Workers send their counts to the master with their reports; the master adds them up.

Imports locust, as callers.py does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gevent  # type: ignore[import-untyped]
import psutil
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from .figures import together
from .record import Phase, Record, Sample
from .server_processes import Followed
from .shapes.catalogue import SHAPES
from .shapes.stage import Stage
from .timeline import Outcome, Tally, Timeline, outcome
from .workers import Workers

_MESSAGE = "loadtest"


class Recorder:
    """One for each process of locust; only the master's, or the only one's, sees the whole run."""

    def __init__(self) -> None:
        self._begin("plain")

    def _begin(self, shape: str) -> None:
        self.record = Record(shape)
        self.stage: Stage | None = None
        self._stage_began = 0.0
        self._tallies: dict[str, Tally] = {}
        self._refusals = SHAPES[shape].refusals
        self._workers = Workers()
        self._worker_cores: dict[str, float] = {}
        self._process = psutil.Process()  # of this process, which may have been forked since the last run
        self._process.cpu_percent()  # what comes next counts from here

    def start(self, environment: Environment) -> None:
        """Begin a run anew, with what the command line says by now."""
        options = environment.parsed_options
        assert options is not None
        stage = self.stage  # which a shape names just before locust starts its first callers
        self._begin(options.shape)
        self.enter(stage)
        if not isinstance(environment.runner, WorkerRunner):
            gevent.spawn(self._sample, environment, Followed.of(options.server_pid))

    def count(self, name: str, response_time: float, response: Any, exception: BaseException | None, **_: Any) -> None:
        """A request has ended: locust's event of that name."""
        status, headers = getattr(response, "status_code", 0) or 0, getattr(response, "headers", None) or {}
        became = outcome(status, headers, as_it_should_be=exception is None)
        if became is Outcome.REFUSED and not self._refusals:
            became = Outcome.FAILED
        self.record.timeline.count(time.time(), became, response_time)
        self._tallies.setdefault(name, Tally()).count(became, response_time)

    def send(self, data: dict[str, Any], **_: Any) -> None:
        """Put what was counted since the last report into a worker's next one."""
        names = [[name, Timeline({0: tally}).as_data()] for name, tally in self._tallies.items()]
        cores = self._process.cpu_percent() / 100
        data[_MESSAGE] = {"timeline": self.record.timeline.take().as_data(), "names": names, "cores": cores}
        self._tallies = {}

    def receive(self, client_id: str, data: Mapping[str, Any], **_: Any) -> None:
        """Add what a worker has sent."""
        if sent := data.get(_MESSAGE):
            self.record.timeline.add(Timeline.of_data(sent["timeline"]))
            for name, tally in sent["names"]:
                self._tallies.setdefault(name, Tally()).add(Timeline.of_data(tally).seconds[0])
            self._worker_cores[client_id] = sent["cores"]

    def enter(self, stage: Stage | None) -> None:
        """The stage that was on has ended, and ``stage`` is on from now."""
        now, over = time.time(), self.stage
        if over is not None:
            self.record.phases.append(Phase(over.name, over.callers, self._stage_began, now, over.settle_seconds))
        self.stage, self._stage_began = stage, now

    def progress(self, callers: int, now: float) -> str:
        """How it goes: the stage, callers, all requests so far, and the answers of the last seconds."""
        # Workers' counts of the last two seconds may still be on their way.
        lately = self.record.timeline.within(range(int(now) - 4, int(now) - 1)).figures("")
        parts = [tally.figures(name) for name, tally in self._tallies.items()]
        so_far = together("", parts)
        return (
            f"{self.stage.name if self.stage else 'end'}  {callers} callers  {so_far.requests} requests  "
            f"{lately.answered / 3:.0f} per second  {so_far.failures} failed  {so_far.refused} refused  "
            f"p95 {lately.percentile_ms(0.95):.0f} ms{self._workers.words()}"
        )

    def finished(self, runner: Runner | None) -> Record:
        """The record, with what was counted by name and the workers that were lost."""
        self._workers.look(runner, cut_short=self.stage is not None)
        self.record.lost_workers = self._workers.lost
        self.enter(None)
        self.record.requests = [tally.figures(name) for name, tally in sorted(self._tallies.items())]
        return self.record

    def generator_cores(self) -> float:
        """Cores that the busiest process of the load generator has used lately: 1.0 is all that it can use."""
        return max(self._worker_cores.values(), default=0.0)

    def _sample(self, environment: Environment, server: Followed | None) -> None:
        runner = environment.runner
        assert runner is not None
        record = self.record
        while record is self.record:  # until another run begins
            gevent.sleep(1 - time.time() % 1)
            if not isinstance(runner, MasterRunner):
                self._worker_cores["own"] = self._process.cpu_percent() / 100
            for worker in self._workers.look(runner):
                self._worker_cores.pop(worker.name, None)
            cores, size = server.look() if server else (None, None)
            second = int(time.time()) - 1
            record.samples.append(Sample(second, runner.user_count, self.generator_cores(), cores, size))
