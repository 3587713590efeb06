"""What every runtime promises, shown on a model that weighs two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.sample import SAMPLE_FILE
from secure_ml_api.models.store import Store
from secure_ml_api.models.verification import VerifiedPackage
from secure_ml_api.runtimes.onnx import MODEL_FILE, OnnxRuntime
from secure_ml_api.runtimes.protocol import Runtime, Session, VerifiedArtifact
from secure_ml_api.runtimes.sklearn import ESTIMATOR_FILE, SklearnRuntime
from secure_ml_api.tensors import Tensors
from support.packages import WEIGHTS, manifest_of, publish, store_in, weighing_sample

ROWS = np.array([[1, 2], [3, 4], [0, 0]], dtype=np.float32)
ANSWERS = [5.0, 11.0, 0.0]


class FakeSession:
    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        values = {"value": inputs["input"] @ np.array(WEIGHTS, dtype=np.float32)}
        return {name: values[name] for name in outputs}


class FakeRuntime:
    """Weighs by itself; only looks whether there is a model, as the real one does."""

    name = "onnx"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        if not artifact.files.get(MODEL_FILE):
            raise PackageRefused(f"{artifact.name}/{artifact.version}: the package has no model")
        return FakeSession()


def publish_for(runtime: Runtime, store: Store) -> VerifiedPackage:
    """The weighing model in the format of ``runtime``."""
    if runtime.name != SklearnRuntime.name:
        return publish(store)
    model = LinearRegression().fit(np.eye(2), np.zeros(2))
    model.coef_, model.intercept_ = np.array(WEIGHTS), 0.0
    files = {ESTIMATOR_FILE: skops.io.dumps(model), SAMPLE_FILE: weighing_sample()}
    return store.publish(manifest_of(files, runtime=runtime.name), files)


@pytest.fixture(params=[OnnxRuntime, SklearnRuntime, FakeRuntime])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture
def session(runtime: Runtime, tmp_path: Path) -> Session:
    return runtime.load(publish_for(runtime, store_in(tmp_path)).artifact, 1)


def test_a_session_answers_with_the_tensors_that_were_asked_for(session: Session) -> None:
    answers = session.run({"input": ROWS}, ["value"])
    assert list(answers) == ["value"]
    assert answers["value"].tolist() == ANSWERS
    assert answers["value"].dtype == np.float32
    assert answers["value"].shape == (3,)


def test_one_row_and_no_row_are_answered_as_many_are(session: Session) -> None:
    assert session.run({"input": ROWS[:1]}, ["value"])["value"].tolist() == ANSWERS[:1]
    assert session.run({"input": ROWS[:0]}, ["value"])["value"].shape == (0,)


def test_the_answer_to_a_row_does_not_hang_on_its_neighbours(session: Session) -> None:
    together = session.run({"input": ROWS}, ["value"])["value"]
    alone = [session.run({"input": ROWS[row : row + 1]}, ["value"])["value"][0] for row in range(len(ROWS))]
    assert together.tolist() == alone


def test_a_session_leaves_its_inputs_as_they_were(session: Session) -> None:
    given = ROWS.copy()
    session.run({"input": given}, ["value"])
    assert given.tolist() == ROWS.tolist()


def test_an_output_that_does_not_exist_raises(session: Session) -> None:
    with pytest.raises(Exception, match="surprise"):
        session.run({"input": ROWS}, ["surprise"])


def test_several_threads_may_run_one_session_at_once(session: Session) -> None:
    wrong: list[list[float]] = []

    def run() -> None:
        for _ in range(50):
            given = session.run({"input": ROWS}, ["value"])["value"].tolist()
            if given != ANSWERS:
                wrong.append(given)

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_bytes_that_do_not_load_are_refused(runtime: Runtime, tmp_path: Path) -> None:
    artifact = publish_for(runtime, store_in(tmp_path)).artifact
    empty = VerifiedArtifact(artifact.name, artifact.version, artifact.signature, {}, artifact.digest)
    with pytest.raises(PackageRefused, match="tiny/1: "):
        runtime.load(empty, 1)


def test_a_registry_serves_what_the_runtime_loads(runtime: Runtime, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish_for(runtime, store)
    registry = Registry(store, runtimes=[runtime])
    registry.load()
    registry.start_worker()
    registry.warm_up()
    assert registry.resolve("tiny").session.run({"input": ROWS}, ["value"])["value"].tolist() == ANSWERS
