"""Requests in flight per subject, over the workers of one machine."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from secure_ml_api.errors import QuotaExceeded, StorageUnavailable
from secure_ml_api.quota.in_flight import InFlight
from secure_ml_api.state.shared import SharedState, shared_state


@pytest.fixture(params=["shared", "alone"])
def in_flight(request: pytest.FixtureRequest, tmp_path: Path) -> InFlight:
    return InFlight(shared_state(tmp_path / "state.mdb") if request.param == "shared" else None, "refuse")


def worker(state: SharedState, slot: int) -> InFlight:
    """What another worker's process would have; slots are told apart, so one process can play several."""
    one = InFlight(state, "refuse")
    one.set_slot(slot)
    return one


def records(state: SharedState) -> int:
    with state.reading("in_flight") as transaction:
        entries: int = transaction.stat()["entries"]
    return entries


def test_places_are_granted_up_to_the_limit_and_again_when_one_is_given_back(in_flight: InFlight) -> None:
    first, _ = in_flight.enter("client:a", 2), in_flight.enter("client:a", 2)
    with pytest.raises(QuotaExceeded) as refusal:
        in_flight.enter("client:a", 2)
    assert refusal.value.retry_after_seconds == 1
    in_flight.enter("client:b", 2)
    first.release()
    in_flight.enter("client:a", 2)


def test_a_lease_is_given_back_once(in_flight: InFlight) -> None:
    lease = in_flight.enter("client:a", 2)
    with lease:
        in_flight.enter("client:a", 2)
    lease.release()
    in_flight.enter("client:a", 2)
    with pytest.raises(QuotaExceeded):
        in_flight.enter("client:a", 2)


def test_threads_never_hold_more_than_the_limit(in_flight: InFlight) -> None:
    together = Barrier(8)

    def attempt(_: int) -> bool:
        together.wait()
        try:
            in_flight.enter("client:a", 5)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 5


def test_the_limit_holds_over_all_workers(tmp_path: Path) -> None:
    state = shared_state(tmp_path / "state.mdb")
    first, second = worker(state, 0), worker(state, 1)
    held = [first.enter("client:a", 3), second.enter("client:a", 3), second.enter("client:a", 3)]
    for one in (first, second):
        with pytest.raises(QuotaExceeded):
            one.enter("client:a", 3)
    held[2].release()
    first.enter("client:a", 3)


def test_the_leases_of_a_killed_worker_go_with_its_slot(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.setting_sections import StateSettings
limiter = open_limiter(StateSettings(), QuotasSettings(), Path(sys.argv[1]))
limiter.set_slot(7)
held = [limiter.enter("client:a", 5) for _ in range(3)]
print("now", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.communicate()
    mine = worker(shared_state(tmp_path / "state.mdb"), 1)
    held = [mine.enter("client:a", 5), mine.enter("client:a", 5)]
    with pytest.raises(QuotaExceeded):
        mine.enter("client:a", 5)
    mine.drop_slot(7)
    held += [mine.enter("client:a", 5) for _ in range(3)]
    with pytest.raises(QuotaExceeded):
        mine.enter("client:a", 5)


def test_dropping_a_slot_leaves_the_others(tmp_path: Path) -> None:
    state = shared_state(tmp_path / "state.mdb")
    first, second = worker(state, 0), worker(state, 1)
    first.enter("client:a", 2)
    second.enter("client:a", 2)
    second.enter("client:b", 2)
    second.drop_slot(1)
    first.enter("client:a", 2)
    with pytest.raises(QuotaExceeded):
        first.enter("client:a", 2)
    assert records(state) == 1


def test_a_subject_with_nothing_in_flight_leaves_no_record(tmp_path: Path) -> None:
    state = shared_state(tmp_path / "state.mdb")
    one = worker(state, 0)
    for number in range(20):
        one.enter(f"client:{number}", 1).release()
    assert records(state) == 0


def test_what_was_lost_with_the_file_is_right_again_after_the_next_lease(tmp_path: Path) -> None:
    path = tmp_path / "state.mdb"
    state = shared_state(path)
    first, second = worker(state, 0), worker(state, 1)
    held = [first.enter("client:a", 4), first.enter("client:a", 4)]
    path.unlink()
    assert state.mend()
    held.append(first.enter("client:a", 4))
    second.enter("client:a", 4)
    with pytest.raises(QuotaExceeded):
        second.enter("client:a", 4)
    for lease in held:
        lease.release()
    assert [second.enter("client:a", 4) for _ in range(3)]


class Breaking(SharedState):
    """Shared state that does not answer while ``away``."""

    away = False

    def writing(self, table):  # type: ignore[no-untyped-def]
        if self.away:
            raise StorageUnavailable("the shared state cannot be written (DiskError)")
        return super().writing(table)


def test_with_local_each_worker_counts_its_own_while_the_state_is_away(tmp_path: Path) -> None:
    state = Breaking(tmp_path / "state.mdb", 1 << 20)
    first, second = InFlight(state, "local"), InFlight(state, "local")
    first.set_slot(0)
    second.set_slot(1)
    first.enter("client:a", 2)
    state.away = True
    lease = second.enter("client:a", 2)
    second.enter("client:a", 2)
    with pytest.raises(QuotaExceeded):
        second.enter("client:a", 2)
    lease.release()
    state.away = False
    second.mend()
    with pytest.raises(QuotaExceeded):
        first.enter("client:a", 2)


def test_with_refuse_a_state_that_is_away_is_said(tmp_path: Path) -> None:
    state = Breaking(tmp_path / "state.mdb", 1 << 20)
    state.away = True
    with pytest.raises(StorageUnavailable):
        InFlight(state, "refuse").enter("client:a", 2)


def test_giving_back_never_raises_and_is_written_when_the_state_is_back(tmp_path: Path) -> None:
    state = Breaking(tmp_path / "state.mdb", 1 << 20)
    first, second = worker(state, 0), worker(state, 1)
    lease = first.enter("client:a", 1)
    state.away = True
    lease.release()
    state.away = False
    with pytest.raises(QuotaExceeded):
        second.enter("client:a", 1)
    first.mend()
    second.enter("client:a", 1)
