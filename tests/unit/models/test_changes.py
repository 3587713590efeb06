"""How workers learn of changes, and how it is known that all have heard."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from secure_ml_api.errors import DeadlineExceeded, ModelNotFound, NotReady, StorageUnavailable
from secure_ml_api.models.caretaker import Caretaker
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.life import Canary
from secure_ml_api.models.model import Model
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.signing import PUBLIC_KEY_FILE
from secure_ml_api.models.store import Store
from secure_ml_api.models.turns import Turns
from secure_ml_api.models.withheld import Withheld
from secure_ml_api.runtimes.onnx import MODEL_FILE
from support.packages import publish, store_in
from support.server import wait_until


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return Changes(tmp_path / "run")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = store_in(tmp_path)
    publish(made)
    return made


class Worker:
    """A registry that is kept as the home says."""

    def __init__(self, store: Store, changes: Changes, slot: int = 0, watch_seconds: float = 0.0) -> None:
        self.withheld = Withheld(store.models_directory, store.models_directory.parent)
        self.registry = Registry(store, withheld=self.withheld)
        turns = Turns(store.models_directory.parent / "run", places=1)
        self.caretaker = Caretaker(store, self.registry, changes, turns, self.withheld, watch_seconds=watch_seconds)
        self.registry.load()
        self.registry.warm_up()
        self.told: list[tuple[list[str], list[str]]] = []
        self.slot = slot

    def start(self) -> Worker:
        self.caretaker.start_worker(self.slot, self._tell)
        return self

    def take_canary_back(self) -> bool:
        """The one that this worker knows of, whatever the home says by now."""
        canary = self.registry.canary("tiny")
        return canary is not None and self.caretaker.take_canary_back("tiny", canary.rules.trial)

    def _tell(self, before: object, after: object) -> None:
        self.told.append(([model.version for model in _models(before)], [model.version for model in _models(after)]))


def _models(models: object) -> list[Model]:
    assert isinstance(models, tuple)
    return list(models)


@pytest.fixture
def worker(store: Store, changes: Changes) -> Worker:
    return Worker(store, changes).start()


def in_a_minute() -> float:
    return time.monotonic() + 60


def test_each_change_has_a_larger_number_also_when_the_folder_was_lost(changes: Changes, tmp_path: Path) -> None:
    first = changes.announce("a")
    shutil.rmtree(tmp_path / "run")
    second = changes.announce("b")
    assert first < second == changes.wanted().number
    assert changes.wanted().again == {"b": second}


def test_changes_of_many_at_once_are_all_remembered(changes: Changes) -> None:
    announcers = [Thread(target=changes.announce, args=(f"model-{number}",)) for number in range(20)]
    for announcer in announcers:
        announcer.start()
    for announcer in announcers:
        announcer.join()
    assert len(changes.wanted().again) == 20
    assert len(set(changes.wanted().again.values())) == 20


@pytest.mark.parametrize("data", [b"", b"[]", b'{"number": 1}', b"\xff"])
def test_spoiled_file_says_nothing(changes: Changes, tmp_path: Path, data: bytes) -> None:
    changes.announce("a")
    (tmp_path / "run" / "models" / "wanted").write_bytes(data)
    assert changes.wanted().number == 0


def test_change_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(StorageUnavailable):
        Changes(tmp_path / "run").announce("a")


def test_worker_that_is_gone_is_not_waited_for(changes: Changes) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    changes.report(0, 1, {})
    report = changes._directory / "applied.1"
    report.write_bytes(
        (changes._directory / "applied.0").read_bytes().replace(str(os.getpid()).encode(), b"%d" % ended.pid)
    )
    assert [report.pid for report in changes.reports()] == [os.getpid()]


def test_worker_that_does_not_take_a_change_is_waited_for_until_the_deadline(changes: Changes) -> None:
    changes.report(0, 0, {})
    assert changes.wait(changes.announce("a"), time.monotonic() + 0.05) is None


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
    monkeypatch.setattr("secure_ml_api.models.caretaker._PATIENCE_SECONDS", 0.3)
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
    changes.report(7, 0, {})  # a worker that lives, as far as can be seen, and never looks
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


def test_watched_folder_needs_no_word(store: Store, changes: Changes) -> None:
    worker = Worker(store, changes, watch_seconds=0.05).start()
    publish(store, version="2")
    wait_until(lambda: worker.registry.resolve("tiny").version == "2")
    worker.caretaker.stop()


def test_version_that_comes_into_a_watched_folder_file_by_file_serves_when_it_is_whole(
    store: Store, changes: Changes, tmp_path: Path
) -> None:
    publish(store, version="2")
    there, aside = store.models_directory / "tiny" / "2", tmp_path / "aside"
    there.rename(aside)
    worker = Worker(store, changes, watch_seconds=0.05).start()
    shutil.copytree(aside, there, ignore=shutil.ignore_patterns(MODEL_FILE))
    wait_until(lambda: "tiny/2" in worker.caretaker.problems())
    shutil.copy(aside / MODEL_FILE, there)
    wait_until(lambda: worker.registry.resolve("tiny").version == "2")
    wait_until(lambda: worker.caretaker.problems() == {})
    worker.caretaker.stop()


def test_worker_that_begins_later_takes_what_the_others_saw_in_a_watched_folder(store: Store, changes: Changes) -> None:
    worker = Worker(store, changes, watch_seconds=60)
    publish(store, version="2")
    worker.start()
    assert worker.registry.resolve("tiny").version == "2"
    worker.caretaker.stop()


def test_what_is_announced_is_verified_anew_also_when_a_watched_folder_has_changed(
    store: Store, changes: Changes
) -> None:
    publish(store, version="2")
    worker = Worker(store, changes, watch_seconds=60)
    (store.models_directory / "tiny" / "2" / MODEL_FILE).write_bytes(b"something else")
    changes.announce("tiny")
    worker.start()
    assert "not the file that was signed" in worker.caretaker.problems("tiny")["2"]
    worker.caretaker.stop()


def test_folder_that_is_not_watched_is_not_looked_at(worker: Worker, store: Store, changes: Changes) -> None:
    publish(store, version="2")
    publish(store, name="other")
    worker.caretaker.change("other", lambda store: store.load("other"), in_a_minute())
    assert worker.registry.resolve("tiny").version == "1"


@pytest.fixture
def on_trial(store: Store) -> Store:
    """A home in which version 2 is a canary of version 1."""
    publish(store, version="2")
    store.promote("tiny", "1")
    store.set_canary("tiny", Canary(version="2", percent=50))
    return store


def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mount is that only others may write; a mode would not stop root."""

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("secure_ml_api.models.store.write_life", refused)


def test_a_canary_is_taken_back_in_the_home(on_trial: Store, changes: Changes) -> None:
    worker = Worker(on_trial, changes).start()
    assert worker.take_canary_back()
    wait_until(lambda: worker.registry.canary("tiny") is None)
    assert on_trial.life("tiny").canary is None
    worker.caretaker.stop()


def test_a_canary_is_taken_back_by_one_of_the_workers_that_would(on_trial: Store, changes: Changes) -> None:
    workers = [Worker(on_trial, changes, slot) for slot in range(4)]
    with ThreadPoolExecutor(len(workers)) as pool:
        assert sorted(pool.map(Worker.take_canary_back, workers)) == [False, False, False, True]


def test_a_canary_that_was_set_again_is_not_taken_back_for_what_the_last_one_did(
    on_trial: Store, changes: Changes
) -> None:
    worker = Worker(on_trial, changes)
    on_trial.set_canary("tiny", None)
    on_trial.set_canary("tiny", Canary(version="2", percent=50))
    assert not worker.take_canary_back()
    assert on_trial.life("tiny").canary is not None


def test_end_of_a_canary_that_could_not_be_told_is_told_by_whoever_finds_it(
    on_trial: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [Worker(on_trial, changes, slot) for slot in range(3)]

    def cannot(_: object, __: str) -> int:
        raise StorageUnavailable("the change cannot be told to the workers")

    with monkeypatch.context() as patched:
        patched.setattr(Changes, "announce", cannot)
        assert workers[0].take_canary_back()
    assert changes.wanted().number == 0
    assert not workers[1].take_canary_back()
    told = changes.wanted().number
    assert told > 0
    assert not workers[2].take_canary_back()
    assert changes.wanted().number == told  # once is enough


def test_a_canary_of_a_home_that_cannot_be_written_is_withheld_by_all_workers_and_after_a_reload(
    on_trial: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [Worker(on_trial, changes, slot).start() for slot in range(2)]
    assert all(worker.registry.canary("tiny") is not None for worker in workers)
    _read_only(monkeypatch)
    assert [worker.take_canary_back() for worker in workers] == [True, False]
    wait_until(lambda: all(worker.registry.canary("tiny") is None for worker in workers))
    assert Worker(on_trial, changes).registry.canary("tiny") is None
    for worker in workers:
        worker.caretaker.stop()


def test_a_canary_that_is_decided_anew_is_not_the_one_that_was_withheld(
    on_trial: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(on_trial, changes)
    with monkeypatch.context() as patched:
        _read_only(patched)
        assert worker.take_canary_back()
    on_trial.set_canary("tiny", Canary(version="2", percent=5))
    again = Worker(on_trial, changes).registry.canary("tiny")
    assert again is not None
    assert again.rules.percent == 5


@pytest.mark.parametrize("spoiled", [b"", b"{", b"[]", b'{"tiny": "x"}'])
def test_a_spoiled_list_of_the_withheld_withholds_nothing(on_trial: Store, changes: Changes, spoiled: bytes) -> None:
    (on_trial.models_directory.parent / "withheld.json").write_bytes(spoiled)
    assert Worker(on_trial, changes).registry.canary("tiny") is not None


def test_a_change_of_the_folder_that_could_not_be_taken_is_still_due(
    store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(store, changes, watch_seconds=0.001)
    publish(store, version="2")
    refresh = worker.registry.refresh

    def failing(names: object) -> None:
        monkeypatch.setattr(worker.registry, "refresh", refresh)
        raise OSError("the disk hiccups")

    monkeypatch.setattr(worker.registry, "refresh", failing)
    with pytest.raises(OSError, match="hiccups"):
        worker.start()
    worker.caretaker._look()
    assert [model.version for model in _models(worker.registry.models())] == ["1", "2"]
