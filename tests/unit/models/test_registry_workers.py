"""What a registry does after the fork: sessions are built in the worker, warmed up, and taken off when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from secure_ml_api.errors import NotReady
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.tensors import Tensors
from support.packages import loaded, publish, store_in


class AfterForkRuntime:
    """A runtime whose sessions must be built after the fork; says when it built one."""

    name = "onnx"
    fork_safe = False

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        self.loaded.append(artifact.version)
        return OnnxRuntime().load(artifact, threads)


class FailingRuntime(AfterForkRuntime):
    """A runtime whose sessions load and then fail."""

    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        return self

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        raise RuntimeError("out of order")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def test_sessions_that_do_not_survive_a_fork_are_built_in_the_worker(store: Store) -> None:
    publish(store)
    runtime = AfterForkRuntime()
    registry = Registry(store, runtimes=[runtime])
    registry.load()
    assert runtime.loaded == []
    assert [state.state for state in registry.states()] == ["LOADING"]
    assert list(registry.unready) == ["tiny"]
    with pytest.raises(NotReady):
        registry.resolve("tiny")
    registry.start_worker()
    assert runtime.loaded == ["1"]
    assert registry.resolve("tiny").version == "1"
    assert not registry.unready


def test_several_threads_a_run_wait_for_the_fork_too(store: Store) -> None:
    publish(store)
    registry = Registry(store, threads=2)
    registry.load()
    assert [state.state for state in registry.states()] == ["LOADING"]
    registry.start_worker()
    assert [state.state for state in registry.states()] == ["READY"]


def test_warming_up_takes_the_pace_of_every_model(store: Store) -> None:
    publish(store)
    registry = loaded(store)
    session = registry.resolve("tiny").session
    registry.warm_up()
    warm = registry.resolve("tiny")
    assert warm.session is session
    assert warm.pace is not None
    assert warm.pace.one_seconds > 0


def test_a_model_that_fails_on_its_own_sample_is_taken_off(store: Store) -> None:
    publish(store)
    registry = Registry(store, runtimes=[FailingRuntime()])
    registry.load()
    registry.warm_up()
    assert registry.unready == ("tiny",)
    assert "RuntimeError" in registry.problems["tiny/1"]
