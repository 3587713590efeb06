"""Canaries that are taken back, once, also where the home cannot be written."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.life import Canary
from secure_ml_api.models.store import Store
from support.caretaking import Worker
from support.packages import publish
from support.server import wait_until


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
