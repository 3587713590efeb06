"""Frameworks, which take long to import, are imported by workers that do not serve yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from secure_ml_api.errors import ModelNotFound, NotReady, PackageRefused
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.store import Store
from secure_ml_api.models.turns import Turns
from secure_ml_api.runtimes.onnx import OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from support.caretaking import Worker, in_a_minute, report
from support.packages import publish
from support.server import wait_until

FRAMEWORK = "framework_of_test"


class HeavyRuntime(OnnxRuntime):
    name = "heavy"
    fork_safe = False
    framework = FRAMEWORK

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        try:
            __import__(self.framework)
        except ImportError:
            raise PackageRefused("it is not installed") from None
        return super().load(artifact, threads)


class AbsentRuntime(HeavyRuntime):
    framework = "framework_that_is_not_there"


def refuse(*_: object) -> Session:
    raise PackageRefused("not of ours")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The framework is installed, and not imported."""
    directory = tmp_path / "installed"
    directory.mkdir()
    (directory / f"{FRAMEWORK}.py").write_text("")
    monkeypatch.syspath_prepend(str(directory))
    yield
    sys.modules.pop(FRAMEWORK, None)


@pytest.fixture
def asked() -> SimpleQueue[int]:
    """Has a member for each time that a worker asked for relief."""
    return SimpleQueue()


NewWorker = Callable[..., Worker]


@pytest.fixture
def new_worker(store: Store, changes: Changes) -> Iterator[NewWorker]:
    """Makes workers that know of both runtimes."""
    made = []

    def make(slot: int = 0) -> Worker:
        made.append(Worker(store, changes, slot, runtimes=(OnnxRuntime(), HeavyRuntime())))
        return made[-1]

    yield make
    for worker in made:
        worker.caretaker.stop()


def is_loaded(worker: Worker) -> bool:
    return "heavy" in [model.name for model in worker.registry.models()]


def test_a_worker_that_serves_has_another_take_its_place_instead_of_importing_a_framework(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes, tmp_path: Path
) -> None:
    serves, follows = new_worker(0), new_worker(1)
    serves.start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    number = changes.announce("heavy")
    asked.get(timeout=60)
    assert FRAMEWORK not in sys.modules
    assert changes.wait(number, time.monotonic() + 0.1) is None
    turns = Turns(tmp_path / "run", places=1)
    with turns.taken() as is_free:
        assert not is_free  # nobody else imports meanwhile
    follows.start(lambda: asked.put(2))
    assert is_loaded(follows)
    serves.caretaker.leave(0.0)
    assert changes.wait(number, in_a_minute()) is not None
    assert not is_loaded(serves)
    assert asked.empty()


def test_a_worker_that_leaves_is_waited_for_as_long_as_something_new_may_reach_it(
    new_worker: NewWorker, changes: Changes
) -> None:
    leaves = new_worker().start()
    leaves.caretaker.leave(3600.0)
    number = changes.announce("tiny")
    assert changes.wait(number, time.monotonic() + 0.1) is None
    leaves.caretaker.leave(0.0)
    assert changes.wait(number, in_a_minute()) is not None


def test_where_no_other_comes_to_serve_it_is_imported_in_the_end(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secure_ml_api.models.permission._RELIEF_SECONDS", 0.3)
    worker = new_worker().start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    assert changes.wait(changes.announce("heavy"), in_a_minute()) is not None
    assert is_loaded(worker)
    assert asked.get(timeout=60) == 1
    assert asked.empty()


def test_relief_is_asked_for_until_somebody_hears_it(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secure_ml_api.models.permission._ASKED_AGAIN_SECONDS", 0.0)
    new_worker().start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    changes.announce("heavy")
    for _ in range(3):
        asked.get(timeout=60)


def test_a_framework_that_is_there_already_is_a_reason_too_as_loading_for_it_holds_others_up(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes
) -> None:
    __import__(FRAMEWORK)
    new_worker().start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    changes.announce("heavy")
    asked.get(timeout=60)


def test_what_a_worker_refused_when_it_began_is_refused_again_without_relief(
    asked: SimpleQueue[int], store: Store, changes: Changes
) -> None:
    publish(store, name="heavy", runtime="heavy")
    runtime = HeavyRuntime()
    worker = Worker(store, changes, runtimes=(OnnxRuntime(), runtime))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeavyRuntime, "load", refuse)
        worker.registry.start_worker()
        worker.start(lambda: asked.put(1))
        assert changes.wait(changes.announce("heavy"), in_a_minute()) is not None
    assert worker.caretaker.problems("heavy") == {"1": "not of ours"}
    assert asked.empty()
    publish(store, name="heavy", version="2", runtime="heavy")
    changes.announce("heavy")
    asked.get(timeout=60)
    worker.caretaker.stop()


def test_a_framework_that_is_not_installed_is_said_at_once(
    asked: SimpleQueue[int], store: Store, changes: Changes
) -> None:
    worker = Worker(store, changes, runtimes=(OnnxRuntime(), AbsentRuntime())).start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    assert changes.wait(changes.announce("heavy"), in_a_minute()) is not None
    assert worker.caretaker.problems("heavy") == {"1": "it is not installed"}
    assert asked.empty()
    worker.caretaker.stop()


def test_a_package_that_is_refused_anyway_is_no_reason_for_relief(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes
) -> None:
    worker = new_worker().start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    (store.models_directory / "heavy" / "1" / "model.onnx").write_bytes(b"tampered with")
    assert changes.wait(changes.announce("heavy"), in_a_minute()) is not None
    assert "not the file that was signed" in worker.caretaker.problems("heavy")["1"]
    assert asked.empty()


def test_a_worker_that_can_ask_nobody_imports_what_is_needed(
    new_worker: NewWorker, store: Store, changes: Changes
) -> None:
    worker = new_worker().start()
    publish(store, name="heavy", runtime="heavy")
    assert changes.wait(changes.announce("heavy"), in_a_minute()) is not None
    assert is_loaded(worker)


def test_while_another_is_waited_for_what_needs_no_loading_is_taken_at_once(
    new_worker: NewWorker, asked: SimpleQueue[int], store: Store, changes: Changes
) -> None:
    worker = new_worker().start(lambda: asked.put(1))
    publish(store, name="heavy", runtime="heavy")
    changes.announce("heavy")
    asked.get(timeout=60)
    assert worker.registry.resolve("tiny").version == "1"
    store.unload("tiny")
    changes.announce("tiny")
    wait_until(lambda: "tiny" not in [model.name for model in worker.registry.models()])
    with pytest.raises(ModelNotFound):
        worker.registry.resolve("heavy")


def test_a_worker_that_has_left_answers_for_those_who_stay(
    new_worker: NewWorker, store: Store, changes: Changes
) -> None:
    leaves = new_worker(0).start()
    stays = partial(report, changes, 1, sys.maxsize)
    stays({"heavy/1": "heavy/1: not of ours"}, unready=["heavy"])
    leaves.caretaker.require_serving("heavy")  # of which it has not heard
    leaves.caretaker.leave(0.0)
    with pytest.raises(NotReady):
        leaves.caretaker.require_serving("heavy")
    assert leaves.caretaker.problems("heavy") == {"1": "heavy/1: not of ours"}
    stays({})
    leaves.caretaker.require_serving("heavy")
    assert leaves.caretaker.problems("heavy") == {}
