"""A model whose runs a test holds up, one by one, and jobs that wait for it in threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any, Self, cast

import numpy as np
import pytest

from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.job import Job
from secure_ml_api.inference.runner import Runner
from secure_ml_api.setting_sections import BatchingSettings, InferenceSettings
from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.tensors import Tensors
from support.spine import FakeModel

LONG = 60.0
POISON = -1.0


def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds, looking again every few milliseconds, for ten seconds at most."""
    pause = Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it never came to that")


class GatedSession:
    """Doubles each row (``double``) and says which row of its run it was (``place``); POISON makes a run raise.

    The first run begins behind a closed gate; ``runs`` holds the rows and the outputs asked for of every run begun.
    """

    def __init__(self) -> None:
        self.gate = Event()
        self.runs: list[tuple[list[float], list[str]]] = []
        self.failure: BaseException = ValueError("poison")
        self.answer: Callable[[Tensors], Tensors] = lambda outputs: outputs
        self._lock = Lock()

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        rows = inputs["input"][:, 0]
        with self._lock:
            self.runs.append((rows.tolist(), list(outputs)))
        assert self.gate.wait(LONG)
        if (rows == POISON).any():
            raise self.failure
        made: Tensors = {"double": rows * 2, "place": np.arange(len(rows))}
        return self.answer({name: made[name] for name in outputs})


class Asked(Thread):
    """One job in its own thread: ``outputs`` or ``error`` once it is through."""

    def __init__(self, stage: Stage, job: Job) -> None:
        super().__init__(daemon=True)
        self.outputs: Tensors | None = None
        self.error: BaseException | None = None
        self._stage, self._job = stage, job

    def run(self) -> None:
        try:
            self.outputs = self._stage.runner.run(self._job, self._stage.counted)
        except BaseException as error:
            self.error = error

    def result(self) -> Tensors:
        """What it was answered; raises what it was refused with."""
        self.join(LONG)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        assert self.outputs is not None
        return self.outputs

    def doubled(self) -> list[float]:
        doubled: list[float] = self.result()["double"].tolist()
        return doubled


class Stage:
    """A runner with one place (unless ``runs`` says more) and a model behind a gate; opened and joined at the end."""

    def __init__(
        self,
        runs: int = 1,
        waiting: int = 64,
        inference: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen
        **batching: Any,
    ) -> None:
        self.session = GatedSession()
        self.model = FakeModel(self.session)
        self.admission = Admission(runs, waiting)
        self.runner = Runner(self.admission, BatchingSettings(**{"enabled": "always", **batching}), inference)
        self.metrics = Metrics()
        self.counted = self.metrics.for_model("iris", "1")
        self._asked: list[Asked] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.gate.set()
        for asked in self._asked:
            asked.join(LONG)

    def job(self, *rows: float, seconds: float = LONG, wanted: Sequence[str] = ("double",), model: Any = None) -> Job:
        tensor = np.array(rows, np.float32).reshape(-1, 1)
        chosen = cast("Any", model or self.model)
        return Job(chosen, {"input": tensor}, len(rows), tuple(wanted), Deadline.after(seconds))

    def asks(self, *rows: float, **options: Any) -> Asked:
        """A caller with ``rows``, once it runs or stands in the line."""
        return self.asks_job(self.job(*rows, **options))

    def asks_job(self, job: Job) -> Asked:
        begun, waiting = len(self.session.runs), self.admission.waiting
        asked = self._started(job)
        until(lambda: len(self.session.runs) > begun or self.admission.waiting > waiting or not asked.is_alive())
        return asked

    def lingers(self, *rows: float) -> Asked:
        """A caller with ``rows``, once it has a place and waits for company."""
        asked = self._started(self.job(*rows))
        until(lambda: self.admission._lingering)
        return asked

    def _started(self, job: Job) -> Asked:
        asked = Asked(self, job)
        self._asked.append(asked)
        asked.start()
        return asked

    @property
    def rows_of_runs(self) -> list[list[float]]:
        return [rows for rows, _ in self.session.runs]

    def count(self, name: str) -> float:
        """The value of the model's ``secure_ml_api_<name>``."""
        text = self.metrics.exposition()[0].decode()
        prefix = f'secure_ml_api_{name}{{model="iris",version="1"}} '
        return sum(float(line.removeprefix(prefix)) for line in text.splitlines() if line.startswith(prefix))
