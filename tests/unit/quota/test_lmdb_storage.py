"""What is LMDB's own about the counters: a full file, purging, clocks, crashes and forks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import flask
import flask_limiter
import pytest

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.errors import QuotaExceeded, StorageUnavailable
from secure_ml_api.quota.limiter import Limiter
from secure_ml_api.quota.lmdb_storage import LmdbStorage
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.quota.standings import Charge
from secure_ml_api.quota.windows import NANOSECONDS, Counter
from secure_ml_api.setting_sections import StateSettings
from secure_ml_api.state.shared import shared_state

SMALL = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_000 * NANOSECONDS

    def __call__(self) -> int:
        return self.now_ns


def storage(directory: Path, clock: Clock) -> LmdbStorage:
    return LmdbStorage("", state=shared_state(directory / "state.mdb", SMALL), clock=clock)


def use(storage: LmdbStorage, name: str) -> bool:
    return storage.charge([(Counter(name, name.encode(), 5, 60), 1)])[0]


def fill(storage: LmdbStorage, prefix: str) -> int:
    """Use counters until there is no room for another; how many there was room for."""
    for number in range(100_000):
        try:
            use(storage, f"{prefix}{number}")
        except StorageUnavailable:
            return number
    raise AssertionError("the file never filled up")


def opened(directory: Path) -> Limiter:
    return open_limiter(StateSettings(), QuotasSettings(on_storage_error="refuse"), directory)


def run_and_kill(code: str, *arguments: str) -> None:
    """Run ``code`` until it has printed ``now``, then kill it as the kernel would."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.communicate()


def test_a_full_file_makes_room_from_windows_that_are_over(tmp_path: Path) -> None:
    clock = Clock()
    counters = storage(tmp_path, clock)
    room = fill(counters, "first")
    for round_number in range(5):
        clock.now_ns += 60 * NANOSECONDS
        assert fill(counters, f"later{round_number}-") > room / 2


def test_a_file_full_of_open_windows_still_counts_the_clients_it_knows(tmp_path: Path) -> None:
    counters = storage(tmp_path, Clock())
    fill(counters, "subject")
    assert [use(counters, "subject0") for _ in range(5)] == [True, True, True, True, False]


def test_purging_goes_round_the_table_and_leaves_open_windows(tmp_path: Path) -> None:
    clock = Clock()
    counters = storage(tmp_path, clock)
    for number in range(10):
        use(counters, f"old{number}")
    clock.now_ns += 60 * NANOSECONDS
    for number in range(10):
        use(counters, f"new{number}")
    assert sum(counters.purge(visits=3) for _ in range(8)) == 10
    assert all(counters.get(f"new{number}") == 1 for number in range(10))


def test_a_window_from_before_a_reboot_is_over(tmp_path: Path) -> None:
    clock = Clock()
    counters = storage(tmp_path, clock)
    while use(counters, "subject"):
        pass
    clock.now_ns = 5 * NANOSECONDS
    assert use(counters, "subject")


def test_setting_the_wall_clock_changes_no_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = opened(tmp_path)
    limiter.charge("client:a", [Charge("requests", "1/hour")])
    really = time.time
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time", lambda shift=hours * 3600: really() + shift)
        with pytest.raises(QuotaExceeded) as refusal:
            limiter.charge("client:a", [Charge("requests", "1/hour")])
        assert 3590 < refusal.value.retry_after_seconds <= 3600


def test_a_process_killed_inside_a_transaction_blocks_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    limiter = opened(tmp_path)
    limiter.charge("client:a", [Charge("requests", "5/day", 2)])
    path = tmp_path / "state.mdb"
    for _ in range(5):
        run_and_kill(
            """
import sys, time
from pathlib import Path
from secure_ml_api.state.shared import shared_state
with shared_state(Path(sys.argv[1])).writing("counters") as transaction:
    for key in list(transaction.cursor().iternext(values=False)):
        transaction.delete(key)
    for number in range(2000):
        transaction.put(b"half%d" % number, bytes(16))
    print("now", flush=True)
    time.sleep(60)
""",
            str(path),
        )
    assert limiter.charge("client:a", [Charge("requests", "5/day")])[0].remaining == 2
    with shared_state(path).reading("counters") as transaction:
        assert transaction.stat()["entries"] == 1


def test_a_process_killed_while_reading_does_not_keep_its_pages(tmp_path: Path) -> None:
    state = shared_state(tmp_path / "state.mdb")
    state.free_dead_readers()
    run_and_kill(
        """
import sys, time
from pathlib import Path
from secure_ml_api.state.shared import shared_state
with shared_state(Path(sys.argv[1])).reading("counters"):
    print("now", flush=True)
    time.sleep(60)
""",
        str(tmp_path / "state.mdb"),
    )
    assert state.free_dead_readers() == 1


def test_a_limiter_built_before_a_fork_counts_exactly_in_the_children(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.standings import Charge
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.setting_sections import StateSettings
limiter = open_limiter(StateSettings(), QuotasSettings(), Path(sys.argv[1]))
one = [Charge("requests", "100/day")]
limiter.charge("client:a", one)   # opened in the parent too, which the fork has to survive
for child in range(4):
    if os.fork() == 0:
        admitted = 0
        for _ in range(50):
            try:
                limiter.charge("client:a", one)
            except QuotaExceeded:
                continue
            admitted += 1
        os._exit(admitted)
print(1 + sum(os.waitstatus_to_exitcode(os.wait()[1]) for child in range(4)))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "100\n"


def test_flask_limiter_finds_it_by_its_uri_and_counts_in_the_same_place(tmp_path: Path) -> None:
    limiter = opened(tmp_path)
    app = flask.Flask(__name__)
    uri = f"lmdb://{tmp_path / 'state.mdb'}"
    theirs = flask_limiter.Limiter(lambda: "client:a", app=app, storage_uri=uri)

    @app.get("/")
    @theirs.shared_limit("5/minute", scope="requests")
    def view() -> str:
        return "fine"

    limiter.charge("client:a", [Charge("requests", "5/minute", 4)])
    assert [app.test_client().get("/").status_code for _ in range(2)] == [200, 429]


def test_a_place_that_cannot_be_written_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the directory should be")
    with pytest.raises(StorageUnavailable):
        opened(tmp_path / "run").charge("client:a", [Charge("requests", "1/day")])
