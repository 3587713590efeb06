"""The audit trail kept within bounds, on every database: to a file first, and verifiable afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import func, select

from secure_ml_api.audit.chain import Entry, Mark
from secure_ml_api.audit.exported import lines_of, read_start
from secure_ml_api.audit.rotation import Retention, Rotation, Wanted
from secure_ml_api.audit.store import append
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import audit
from secure_ml_api.errors import HomeError
from support.recording import KEY


def fill(database: Database, lines: int, days_ago: int = 0) -> None:
    at = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat(timespec="microseconds")
    append(database, KEY, [Entry(at, "test", None, "ok", None, None, {"n": n}) for n in range(lines)], Mark())


def kept(database: Database) -> tuple[int, int]:
    with database.session() as connection:
        first, last = connection.execute(select(func.min(audit.c.id), func.max(audit.c.id))).one()
    return first, last


def opened(database: Database, directory: Path, retention: Retention) -> AuditTrail:
    return AuditTrail(database, lambda: KEY, directory, retention)


def record(trail: AuditTrail) -> None:
    trail.record("test", actor=None, outcome="ok")
    assert trail.flush(30)


def test_oldest_of_too_many_lines_go_to_a_file_and_the_trail_verifies(database: Database, tmp_path: Path) -> None:
    fill(database, 120)
    trail = opened(database, tmp_path, Retention(max_lines=100))
    record(trail)
    (file,) = tmp_path.glob("lines-*.jsonl")
    assert file.name == "lines-000000000001-000000000010.jsonl"
    assert kept(database)[0] == 11
    assert trail.verify().broken is None
    assert trail.verify(files=[file]).broken is None
    (told,) = [line.entry for line in trail.newest(5) if line.entry.event == "audit.pruned"]
    assert (told.details["first"], told.details["last"], told.details["file"]) == (1, 10, file.name)
    assert told.details["last_hash"] == trail.head().anchor.hash
    assert file.stat().st_mode & 0o777 == 0o600


def test_files_of_several_rotations_make_one_chain(database: Database, tmp_path: Path) -> None:
    fill(database, 150)
    trail = opened(database, tmp_path, Retention(max_lines=100))
    for _ in range(4):
        record(trail)
    files = sorted(tmp_path.glob("lines-*.jsonl"))
    assert len(files) >= 3
    lines = [line for file in files for line in lines_of(file)]
    assert trail.verify().broken is None
    assert [line.id for line in lines] == list(range(1, kept(database)[0]))


def test_lines_that_are_too_old_go_to_a_file(database: Database, tmp_path: Path) -> None:
    fill(database, 5, days_ago=40)
    fill(database, 5, days_ago=3)
    trail = opened(database, tmp_path, Retention(max_days=30))
    record(trail)
    assert kept(database)[0] == 6
    assert trail.verify().broken is None


def test_without_bounds_everything_stays(database: Database, tmp_path: Path) -> None:
    fill(database, 200, days_ago=1000)
    trail = opened(database, tmp_path, Retention())
    record(trail)
    assert kept(database) == (1, 201)


def test_file_that_cannot_be_written_prunes_nothing_and_stops_nobody(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, 120)
    directory = tmp_path / "audit"
    trail = opened(database, directory, Retention(max_lines=100))
    (directory / "lines-000000000001-000000000010.jsonl").mkdir(parents=True)  # where the file has to go
    for _ in range(2):
        record(trail)
    assert kept(database)[0] == 1
    assert trail.verify().broken is None
    assert caplog.text.count("could not be rotated") == 1


def test_two_machines_that_prune_at_once_move_every_line_once(database: Database, tmp_path: Path) -> None:
    fill(database, 100)
    machines = [Rotation(database, lambda: KEY, tmp_path / name, Retention()) for name in ("one", "two")]
    threads = [Thread(target=machine.prune, args=(Wanted(60),)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (file,) = tmp_path.glob("*/lines-*.jsonl")
    assert [line.id for line in lines_of(file)] == list(range(1, 61))
    assert kept(database)[0] == 61
    assert opened(database, tmp_path, Retention()).verify().broken is None


def test_what_is_no_file_of_the_trail_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    for content in ("", "[]\n", "{}\n", "no json\n", '{"format": "secure-ml-api audit trail v1", "after": "x"}\n'):
        file.write_text(content)
        with pytest.raises(HomeError):
            read_start(file)
    entry = '"at": "", "event": "", "actor": null, "outcome": "", "address": null, "request_id": null, "hash": "0"'
    for line in ('"id": 1', f'{entry}, "id": Infinity, "details": {{}}', f'{entry}, "id": 1, "details": [1]'):
        file.write_text(f'{{"format": "secure-ml-api audit trail v1", "after": 0, "hash": "0"}}\n{{{line}}}\n')
        with pytest.raises(HomeError):
            list(lines_of(file))
