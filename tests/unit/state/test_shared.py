"""The file that the workers of a machine share: transactions, its loss, and a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.state import environment, files
from secure_ml_api.state.files import lock_of
from secure_ml_api.state.shared import SharedState, shared_state
from support.forking import run_in_fork


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


def test_threads_that_still_read_the_lost_file_end_on_it(tmp_path: Path, state: SharedState) -> None:
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
    assert state.mend()
    write(state, b"key", b"new")
    go_on.set()
    thread.join(30)
    assert seen == [b"value"]
    assert read(state, b"key") == b"new"


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


def overwrite(path: Path, offset: int, content: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, content, offset)
    os.close(descriptor)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 3 * 4096),
    "zeroed": lambda path: overwrite(path, 0, bytes(1 << 20)),
    "header overwritten": lambda path: overwrite(path, 0, os.urandom(8192)),
    "pages overwritten": lambda path: overwrite(path, 8192, os.urandom(1 << 20)),
    "data deleted": lambda path: path.unlink(),
    "lock deleted": lambda path: lock_of(path).unlink(),
}


@pytest.fixture(params=["ext4", "overlay"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file system: on the first the map is written, on the other only read."""
    name: str = request.param
    monkeypatch.setattr(environment, "filesystem", lambda directory: name)
    return name


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced_by_an_empty_one(tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / "state.mdb"
    state = shared_state(path)
    for number in range(2000):
        write(state, b"key %d" % number, bytes(100))
    DAMAGES[damage](path)
    if damage == "pages overwritten":  # shows with the first use alone; a truncated file would kill its user
        with pytest.raises(StorageUnavailable):
            write(state, b"key", b"value")
    assert [state.mend(), state.mend()] == [True, False]
    assert read(state, b"key 5") is None
    write(state, b"key", b"value")
    assert read(state, b"key") == b"value"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_process_that_starts_with_a_damaged_file_makes_a_new_one(tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / "state.mdb"
    state = shared_state(path)
    for number in range(2000):
        write(state, b"key %d" % number, bytes(100))
    state.close()
    DAMAGES[damage](path)

    def start() -> None:
        write(state, b"key", b"value")
        assert read(state, b"key") == b"value"

    assert run_in_fork(start)  # a touch behind the end of a file would kill it


def test_processes_that_replace_a_damaged_file_at_once_agree_on_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state.mdb"
    state = shared_state(path)
    write(state, b"key", b"value")
    state.close()
    opened = get_context("fork").Barrier(3)
    damaged = get_context("fork").Barrier(3)

    def other(name: bytes) -> None:
        write(state, name, b"before")
        opened.wait(30)
        damaged.wait(30)
        while not state.mend():
            pass
        for number in range(200):
            write(state, b"%s %d" % (name, number), b"after")

    children = [Thread(target=lambda name=name: done.append(run_in_fork(lambda: other(name)))) for name in (b"a", b"b")]
    done: list[bool] = []
    for child in children:
        child.start()
    opened.wait(30)
    os.truncate(path, 0)
    damaged.wait(30)
    for child in children:
        child.join(60)
    assert done == [True, True]
    assert [read(state, b"%s %d" % (name, number)) for name in (b"a", b"b") for number in range(200)] == [
        b"after"
    ] * 400


def test_files_that_another_process_replaced_already_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "state.mdb"
    state = shared_state(path)
    write(state, b"key", b"value")
    os.truncate(path, 0)

    other = (
        "import sys; from pathlib import Path; from secure_ml_api.state.shared import shared_state\n"
        "with shared_state(Path(sys.argv[1])).writing('counters') as transaction:\n"
        "    transaction.put(b'key', b'from the other')"
    )
    subprocess.run([sys.executable, "-c", other, str(path)], check=True, timeout=60)
    assert state.mend()
    assert read(state, b"key") == b"from the other"


def test_headers_that_are_not_known_here_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_DATA_VERSION", 77)
    state = shared_state(tmp_path / "state.mdb")
    write(state, b"key", b"value")
    assert not state.mend()
    assert read(state, b"key") == b"value"
