"""Merged or alone, every runtime answers the same: callers at random, in threads, over one session."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import InferenceFailed, PackageRefused
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.job import Job
from secure_ml_api.inference.runner import Runner
from secure_ml_api.models.model import Model, load_model
from secure_ml_api.runtimes.onnx import MODEL_FILE, OnnxRuntime
from secure_ml_api.runtimes.protocol import Runtime, Session, VerifiedArtifact
from secure_ml_api.setting_sections import BatchingSettings
from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.tensors import Tensors
from support.packages import WEIGHTS, publish, store_in

CALLERS = 24
ROUNDS = 15
POISON = np.float32(-9)


class FakeSession:
    """Weighs by itself; a row with POISON fails the whole run."""

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        rows = inputs["input"]
        if (rows == POISON).any():
            raise ValueError("poison")
        values: Tensors = {"value": rows @ np.array(WEIGHTS, np.float32)}
        return {name: values[name] for name in outputs}


class FakeRuntime:
    name = "onnx"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        if MODEL_FILE not in artifact.files:
            raise PackageRefused("no model")
        return FakeSession()


@pytest.fixture(params=[OnnxRuntime, FakeRuntime])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    runtime: Runtime = request.param()
    return load_model(publish(store_in(tmp_path)), {runtime.name: runtime}).warm_up()


class Site:
    """One place that many callers want, so that most of them share runs."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.runner = Runner(Admission(1, CALLERS), BatchingSettings(enabled="always", max_batch_rows=40))
        self.metrics = Metrics().for_model(model.name, model.version)
        self.start = Barrier(CALLERS)

    def ask(self, rows: Any) -> list[float]:
        job = Job(self.model, {"input": rows}, len(rows), ("value",), Deadline.after(60))
        values: list[float] = self.runner.run(job, self.metrics)["value"].tolist()
        return values

    def caller(self, seed: int) -> int:
        """Ask again and again for rows that are nobody else's; how often poison was refused."""
        dice = random.Random(seed)
        refused = 0
        self.start.wait(60)
        for turn in range(ROUNDS):
            count = dice.randrange(1, 9)
            rows = np.array([[seed, turn * 100 + row] for row in range(count)], np.float32)
            if isinstance(self.model.session, FakeSession) and seed % 8 == 0 and turn % 3 == 0:
                rows[-1] = POISON
                with pytest.raises(InferenceFailed):
                    self.ask(rows)
                refused += 1
            else:
                assert self.ask(rows) == [seed + 2 * (turn * 100 + row) for row in range(count)]
        return refused


def test_everyone_of_a_crowd_gets_the_answers_to_their_own_rows(model: Model) -> None:
    site = Site(model)
    with ThreadPoolExecutor(CALLERS) as callers:
        refused = list(callers.map(site.caller, range(CALLERS)))
    assert sum(refused) == (15 if isinstance(model.session, FakeSession) else 0)
    assert site.runner.admission.waiting == 0


def test_a_package_of_this_runtime_may_be_merged(model: Model) -> None:
    assert model.pace is not None
    assert model.pace.rows_are_independent
