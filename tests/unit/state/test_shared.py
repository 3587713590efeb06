"""The file that the workers of a machine share: transactions, its loss, and a fork."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.state.shared import SharedState, shared_state


@pytest.fixture
def state(tmp_path: Path) -> SharedState:
    return shared_state(tmp_path / "state.mdb")


def read(state: SharedState, key: bytes) -> bytes | None:
    with state.reading("counters") as transaction:
        value: bytes | None = transaction.get(key)
    return value


def write(state: SharedState, key: bytes, value: bytes) -> None:
    with state.writing("counters") as transaction:
        transaction.put(key, value)


def test_there_is_one_shared_state_for_a_file_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shared_state(Path("state.mdb")) is shared_state(tmp_path / "state.mdb")


def test_what_a_block_wrote_is_undone_when_the_block_raises(state: SharedState) -> None:
    write(state, b"key", b"before")

    def fail() -> None:
        with state.writing("counters") as transaction:
            transaction.put(b"key", b"after")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read(state, b"key") == b"before"


def test_an_error_of_lmdb_is_a_store_that_is_unavailable(state: SharedState) -> None:
    with pytest.raises(StorageUnavailable, match="read"), state.reading("counters") as transaction:
        transaction.put(b"key", b"in a read transaction")


def test_a_file_that_is_there_needs_no_mending(state: SharedState) -> None:
    assert not state.mend()
    write(state, b"key", b"value")
    assert not state.mend()
    assert read(state, b"key") == b"value"


@pytest.mark.parametrize("loss", ["file", "directory"])
def test_a_lost_file_is_noticed_once_and_replaced_by_an_empty_one(tmp_path: Path, loss: str) -> None:
    run = tmp_path / "run"
    state = shared_state(run / "state.mdb")
    write(state, b"key", b"value")
    for path in run.iterdir():
        path.unlink()
    if loss == "directory":
        run.rmdir()
    assert [state.mend(), state.mend()] == [True, False]
    assert read(state, b"key") is None
    write(state, b"key", b"again")
    assert read(state, b"key") == b"again"


def test_mending_waits_for_threads_that_still_read_the_lost_file(tmp_path: Path, state: SharedState) -> None:
    write(state, b"key", b"value")
    reading, go_on = Event(), Event()
    seen = []

    def reader() -> None:
        with state.reading("counters") as transaction:
            reading.set()
            go_on.wait(30)
            seen.append(transaction.get(b"key"))

    thread = Thread(target=reader)
    thread.start()
    assert reading.wait(30)
    (tmp_path / "state.mdb").unlink()
    mender = Thread(target=lambda: seen.append(state.mend()))
    mender.start()
    go_on.set()
    thread.join(30)
    mender.join(30)
    assert seen == [b"value", True]


def test_a_loss_that_could_not_be_mended_is_reported_when_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    state = shared_state(run / "state.mdb")
    write(state, b"key", b"value")
    for path in run.iterdir():
        path.unlink()
    run.rmdir()
    run.write_text("something else is in the way")
    with pytest.raises(StorageUnavailable):
        state.mend()
    run.unlink()
    write(state, b"key", b"by a request that came first")
    assert [state.mend(), state.mend()] == [True, False]


def test_a_closed_state_opens_again_when_it_is_used(state: SharedState) -> None:
    write(state, b"key", b"value")
    state.close()
    assert read(state, b"key") == b"value"
