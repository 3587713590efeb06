"""Workers take what is announced, load when it is their turn, and say what went wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.errors import DeadlineExceeded, ModelNotFound, NotReady, StorageUnavailable
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.signing import PUBLIC_KEY_FILE
from secure_ml_api.models.store import Store
from secure_ml_api.models.turns import Turns
from support.caretaking import Worker, in_a_minute, report
from support.packages import publish


def test_change_is_true_on_every_worker_when_it_returns(store: Store, changes: Changes) -> None:
    workers = [Worker(store, changes, slot).start() for slot in range(3)]
    workers[0].caretaker.change("tiny", lambda store: store.unload("tiny"), in_a_minute())
    for worker in workers:
        with pytest.raises(ModelNotFound):
            worker.registry.resolve("tiny")
        assert worker.told == [(["1"], [])]
    workers[1].caretaker.change("tiny", lambda store: store.load("tiny"), in_a_minute())
    assert [worker.registry.resolve("tiny").version for worker in workers] == ["1"] * 3


def test_worker_that_starts_later_takes_what_was_announced_since_its_master_loaded(
    store: Store, changes: Changes
) -> None:
    late = Worker(store, changes)
    publish(store, version="2")
    publish(store, name="other")
    changes.announce("tiny")
    late.start()
    assert late.registry.resolve("tiny").version == "2"
    with pytest.raises(ModelNotFound):
        late.registry.resolve("other")  # of which nobody has said anything


@pytest.fixture
def turn_of_another(tmp_path: Path) -> Iterator[None]:
    """It is the turn of another worker to load models, and stays so."""
    with Turns(tmp_path / "run", places=1).taken() as taken:
        assert taken
        yield


@pytest.mark.usefixtures("turn_of_another")
def test_worker_whose_turn_it_is_not_loads_nothing_and_takes_what_needs_no_loading(
    worker: Worker, store: Store, changes: Changes
) -> None:
    publish(store, version="2")
    changes.announce("tiny")
    assert changes.wait(changes.wanted().number, time.monotonic() + 0.5) is None
    assert worker.registry.resolve("tiny").version == "1"
    shutil.rmtree(store.models_directory / "tiny" / "2")
    worker.caretaker.change("tiny", lambda store: store.unload("tiny"), in_a_minute())
    with pytest.raises(ModelNotFound):
        worker.registry.resolve("tiny")


def test_worker_loads_when_its_turn_has_come(worker: Worker, store: Store, changes: Changes, tmp_path: Path) -> None:
    publish(store, version="2")
    with Turns(tmp_path / "run", places=1).taken():
        changes.announce("tiny")
        assert changes.wait(changes.wanted().number, time.monotonic() + 0.5) is None
    assert changes.wait(changes.wanted().number, in_a_minute()) is not None
    assert worker.registry.resolve("tiny").version == "2"


@pytest.mark.usefixtures("turn_of_another")
def test_worker_that_has_waited_long_enough_loads_although_another_one_does(
    worker: Worker, store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secure_ml_api.models.permission._PATIENCE_SECONDS", 0.3)
    publish(store, version="2")
    assert changes.wait(changes.announce("tiny"), in_a_minute()) is not None
    assert worker.registry.resolve("tiny").version == "2"


def test_model_that_there_is_not_and_one_that_does_not_load_are_told_apart(worker: Worker, store: Store) -> None:
    with pytest.raises(ModelNotFound, match="no such model"):
        worker.caretaker.change("other", lambda store: store.load("other"), in_a_minute())
    (store.models_directory / "tiny" / "1" / "model.onnx").write_bytes(b"something else")
    worker.caretaker.change("tiny", lambda store: store.load("tiny"), in_a_minute())
    with pytest.raises(NotReady, match="no version of the model could be loaded"):
        worker.caretaker.require_serving("tiny")


def test_version_that_one_worker_alone_refuses_is_said_by_all(
    store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [Worker(store, changes, slot).start() for slot in range(3)]
    monkeypatch.setattr(workers[1].registry, "_runtimes", {})  # as where a library is broken, or memory is short
    publish(store, version="2")
    workers[0].caretaker.change("tiny", lambda store: store.load("tiny"), in_a_minute())
    assert [worker.registry.resolve("tiny").version for worker in workers] == ["2", "1", "2"]
    for worker in workers:
        problems = worker.caretaker.problems("tiny")
        assert list(problems) == ["2"]
        assert problems["2"].endswith(" (on 1 of 3 workers)")
        assert worker.caretaker.problems("other") == {}
        assert [(state.version, state.state, state.reason) for state in worker.caretaker.states()] == [
            ("1", "READY", ""),
            ("2", "UNAVAILABLE", problems["2"]),
        ]


def test_home_without_the_key_that_verifies_is_a_problem_of_the_model_until_it_is_there_again(
    worker: Worker, store: Store
) -> None:
    key = store.keys_directory / PUBLIC_KEY_FILE
    away = key.rename(key.with_suffix(".away"))
    worker.caretaker.change("tiny", lambda store: store.load("tiny"), in_a_minute())
    assert worker.registry.resolve("tiny").version == "1"
    (problem,) = worker.caretaker.problems("tiny").values()
    (state,) = worker.caretaker.states()
    assert (state.state, state.reason) == ("READY", problem)
    away.rename(key)
    worker.caretaker.change("tiny", lambda store: store.load("tiny"), in_a_minute())
    assert worker.caretaker.problems("tiny") == {}


def test_models_folder_that_cannot_be_written_is_said_to_the_caller(worker: Worker) -> None:
    def read_only(_: Store) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(StorageUnavailable, match="the models folder cannot be written"):
        worker.caretaker.change("tiny", read_only, in_a_minute())


def test_caller_is_told_when_a_worker_takes_too_long(worker: Worker, changes: Changes) -> None:
    report(changes, 7, 0, {})  # a worker that lives, as far as can be seen, and never looks
    with pytest.raises(DeadlineExceeded, match="not every worker"):
        worker.caretaker.change("tiny", lambda store: store.load("tiny"), time.monotonic() + 0.1)


def test_what_fails_is_tried_again_after_a_pause(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > 4

    monkeypatch.setattr(worker.caretaker, "_look", lambda: 1 // 0)
    monkeypatch.setattr(worker.caretaker._stopped, "wait", wait)
    worker.caretaker._live()
    assert pauses[1::2] == [5.0, 5.0]
