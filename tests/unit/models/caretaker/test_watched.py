"""Workers see for themselves what changes in a models folder that is watched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secure_ml_api.models.changes import Changes
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import MODEL_FILE
from support.caretaking import Worker, in_a_minute, models_of
from support.packages import publish
from support.server import wait_until


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


def test_a_change_of_the_folder_that_could_not_be_taken_is_still_due(
    store: Store, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(store, changes, watch_seconds=0.001)
    publish(store, version="2")
    refresh = worker.registry.refresh

    def failing(*_: object, **__: object) -> None:
        monkeypatch.setattr(worker.registry, "refresh", refresh)
        raise OSError("the disk hiccups")

    monkeypatch.setattr(worker.registry, "refresh", failing)
    with pytest.raises(OSError, match="hiccups"):
        worker.start()
    worker.caretaker._look()
    assert [model.version for model in models_of(worker.registry.models())] == ["1", "2"]
