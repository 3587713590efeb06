"""Somebody can write to the database and to no key: whatever they do to the audit trail is noticed, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from secure_ml_api.audit.chain import Broken, Entry, Head, Line, Mark, Why, chained, seal
from secure_ml_api.audit.rotation import Wanted
from secure_ml_api.audit.store import read_lines
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import audit, audit_head
from secure_ml_api.errors import OperatorError
from support.recording import KEY

THEIR_KEY = b"not the key of the trail"
Rows = Sequence[dict[str, Any]]
Copy = tuple[Rows, Rows]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def trail(database: Database, directory: Path) -> AuditTrail:
    """A trail of ten lines."""
    trail = AuditTrail(database, lambda: KEY, directory)
    record(trail, 10)
    return trail


def record(trail: AuditTrail, lines: int) -> None:
    for number in range(lines):
        trail.record("test", actor="somebody", outcome="ok", number=number)
    assert trail.flush(30)


def copy(database: Database) -> Copy:
    with database.session() as connection:
        lines, head = connection.execute(select(audit)).all(), connection.execute(select(audit_head)).all()
    return [dict(row._mapping) for row in lines], [dict(row._mapping) for row in head]


def put_back(database: Database, copied: Copy) -> None:
    with database.transaction() as connection:
        for table, rows in zip((audit, audit_head), copied, strict=True):
            connection.execute(delete(table))
            if rows:
                connection.execute(insert(table), list(rows))


def forge(database: Database, change: Callable[[list[Entry]], list[Entry]], since: int) -> None:
    """Rewrite the lines from number ``since`` on as an attacker can: every hash recomputed, with a key of their own."""
    with database.session() as connection:
        lines = list(read_lines(connection, 0))
    kept, entries = lines[: since - 1], change([line.entry for line in lines[since - 1 :]])
    forged = [*kept, *chained(THEIR_KEY, Mark(kept[-1].id, kept[-1].hash) if kept else Mark(), entries)]
    head = Head(Mark(forged[-1].id, forged[-1].hash))
    with database.transaction() as connection:
        connection.execute(delete(audit))
        connection.execute(insert(audit), [row(line) for line in forged])
        connection.execute(
            update(audit_head).values(last_id=head.last.id, hash=head.last.hash, seal=seal(THEIR_KEY, head))
        )


def row(line: Line) -> dict[str, Any]:
    entry = line.entry
    values = {name: getattr(entry, name) for name in Entry.__slots__}
    return {"id": line.id, "hash": line.hash} | values


def test_line_altered_with_every_hash_recomputed_is_named(database: Database, trail: AuditTrail) -> None:
    forge(database, lambda entries: [replace(entries[0], actor="somebody else"), *entries[1:]], since=4)
    assert trail.verify().broken == Broken(4, Why.ALTERED)


def test_line_removed_with_every_hash_recomputed_is_named(database: Database, trail: AuditTrail) -> None:
    forge(database, lambda entries: entries[1:], since=4)
    assert trail.verify().broken == Broken(4, Why.ALTERED)


def test_lines_reordered_with_every_hash_recomputed_are_named(database: Database, trail: AuditTrail) -> None:
    forge(database, lambda entries: [entries[1], entries[0], *entries[2:]], since=4)
    assert trail.verify().broken == Broken(4, Why.ALTERED)


def test_line_inserted_with_every_hash_recomputed_is_named(database: Database, trail: AuditTrail) -> None:
    forge(database, lambda entries: [replace(entries[0], actor="nobody"), *entries], since=4)
    assert trail.verify().broken == Broken(4, Why.ALTERED)


def test_whole_trail_written_anew_with_another_key_is_named_at_its_first_line(
    database: Database, trail: AuditTrail
) -> None:
    forge(database, lambda entries: entries, since=1)
    assert trail.verify().broken == Broken(1, Why.ALTERED)


def test_line_removed_and_nothing_else_is_named(database: Database, trail: AuditTrail) -> None:
    with database.transaction() as connection:
        connection.execute(delete(audit).where(audit.c.id == 4))
    assert trail.verify().broken == Broken(4, Why.MISSING)


def test_line_put_behind_the_last_one_is_named(database: Database, trail: AuditTrail) -> None:
    with database.transaction() as connection:
        last = connection.execute(select(audit).where(audit.c.id == 10)).one()
        connection.execute(insert(audit).values(**(dict(last._mapping) | {"id": 11})))
    assert trail.verify().broken == Broken(11, Why.BEYOND)


def test_tail_cut_and_the_head_left_is_named(database: Database, trail: AuditTrail) -> None:
    with database.transaction() as connection:
        connection.execute(delete(audit).where(audit.c.id > 7))
    assert trail.verify().broken == Broken(8, Why.MISSING)


def test_tail_cut_and_the_head_set_back_without_the_key_is_named(database: Database, trail: AuditTrail) -> None:
    with database.transaction() as connection:
        connection.execute(delete(audit).where(audit.c.id > 7))
        last = connection.execute(select(audit.c.hash).where(audit.c.id == 7)).scalar_one()
        connection.execute(update(audit_head).values(last_id=7, hash=last))
    broken = AuditTrail(database, lambda: KEY).verify().broken  # a home that has no checkpoint
    assert broken == Broken(7, Why.HEAD)


def test_oldest_lines_removed_as_if_they_were_pruned_is_named(database: Database, trail: AuditTrail) -> None:
    with database.transaction() as connection:
        third = connection.execute(select(audit.c.hash).where(audit.c.id == 3)).scalar_one()
        connection.execute(delete(audit).where(audit.c.id <= 3))
        connection.execute(update(audit_head).values(anchor_id=3, anchor_hash=third))
    assert trail.verify().broken == Broken(10, Why.HEAD)


def test_older_copy_of_everything_is_named_by_the_checkpoint_of_the_home(database: Database, trail: AuditTrail) -> None:
    older = copy(database)
    record(trail, 5)
    put_back(database, older)
    assert trail.verify().broken == Broken(11, Why.CUT)


def test_older_copy_of_database_and_home_is_named_by_a_head_from_the_log(
    database: Database, trail: AuditTrail, directory: Path
) -> None:
    older, checkpoint = copy(database), (directory / "checkpoint.json").read_bytes()
    record(trail, 5)
    told = trail.head().last
    put_back(database, older)
    (directory / "checkpoint.json").write_bytes(checkpoint)
    assert trail.verify().broken is None
    assert trail.verify([told]).broken == Broken(11, Why.CUT)


def test_emptied_trail_is_named(database: Database, trail: AuditTrail) -> None:
    zeros = "0" * 64
    put_back(database, ([], [{"id": 1, "last_id": 0, "hash": zeros, "anchor_id": 0, "anchor_hash": zeros, "seal": ""}]))
    assert trail.verify().broken == Broken(1, Why.CUT)


def test_older_copy_that_was_written_on_by_a_stranger_s_server_is_named(database: Database, trail: AuditTrail) -> None:
    older = copy(database)
    record(trail, 5)
    put_back(database, older)
    record(AuditTrail(database, lambda: KEY), 7)  # with the same key, and no memory
    assert trail.verify().broken == Broken(15, Why.OTHER)


@pytest.mark.parametrize("attack", ["older copy", "head forged", "head deleted", "emptied"])
def test_server_that_finds_its_trail_changed_says_so_in_it_and_never_seals_the_forgery(
    database: Database, trail: AuditTrail, attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    older = copy(database)
    record(trail, 5)
    attacks: dict[str, Callable[[], object]] = {
        "older copy": lambda: put_back(database, older),
        "head forged": lambda: forge(database, lambda entries: entries[1:], since=4),
        "head deleted": lambda: put_back(database, (copy(database)[0], [])),
        "emptied": lambda: put_back(database, ([], [])),
    }
    attacks[attack]()
    record(trail, 3)
    assert "the audit trail is not as it was left" in caplog.text
    assert trail.verify().broken is not None
    told = [line for line in trail.newest(10) if line.entry.event == "audit.broken"]
    assert len(told) == 1
    assert told[0].id == trail.head().last.id - 3  # and the lines after it are kept


def test_checkpoint_altered_is_refused(trail: AuditTrail, directory: Path) -> None:
    path = directory / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"line": 3}))
    with pytest.raises(OperatorError, match=r"checkpoint\.json was altered"):
        trail.verify()


def test_pruned_lines_altered_in_their_file_are_named(trail: AuditTrail, tmp_path: Path) -> None:
    file = tmp_path / "pruned.jsonl"
    trail.prune(Wanted(6, path=file))
    assert trail.verify(files=[file]).broken is None
    file.write_text(file.read_text().replace('"number": 3', '"number": 33'))
    assert trail.verify(files=[file]).broken == Broken(4, Why.ALTERED)


def test_pruned_lines_missing_from_the_end_of_their_file_are_named(trail: AuditTrail, tmp_path: Path) -> None:
    file = tmp_path / "pruned.jsonl"
    trail.prune(Wanted(6, path=file))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert trail.verify(files=[file]).broken == Broken(6, Why.MISSING)


def test_broken_lines_are_not_pruned(database: Database, trail: AuditTrail, tmp_path: Path) -> None:
    with database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.id == 4).values(actor="x"))
    with pytest.raises(OperatorError, match="line 4"):
        trail.prune(Wanted(6, path=tmp_path / "pruned.jsonl"))
    assert not (tmp_path / "pruned.jsonl").exists()
    assert trail.verify().broken == Broken(4, Why.ALTERED)


def test_broken_lines_that_were_explained_are_kept_in_a_file_and_what_follows_verifies(
    database: Database, trail: AuditTrail, tmp_path: Path
) -> None:
    with database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.id == 4).values(actor="x"))
    file = tmp_path / "pruned.jsonl"
    trail.prune(Wanted(6, path=file, accept_broken=True))
    assert trail.verify().broken is None
    assert trail.verify(files=[file]).broken == Broken(4, Why.ALTERED)
    told = trail.newest(1)[0].entry
    assert (told.event, told.outcome, told.details["broken_line"]) == ("audit.pruned", "broken", 4)
