"""The audit trail on every database: chained, in line, and broken visibly."""

from __future__ import annotations

from multiprocessing import get_context

import pytest
from sqlalchemy import delete, insert, select, update

from secure_ml_api.audit.chain import Broken, Entry, Mark, Why
from secure_ml_api.audit.store import append
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import audit, audit_head
from support.recording import KEY, record_many


def _entry(number: int) -> Entry:
    return Entry("2026-01-01T00:00:00+00:00", "test", f"actor-{number}", "ok", None, None, {"number": number, "x": "ä"})


def _fill(database: Database) -> AuditTrail:
    append(database, KEY, [_entry(number) for number in range(1, 6)], Mark())
    return AuditTrail(database, lambda: KEY)


def test_recorded_lines_are_kept_as_they_were_given(database: Database) -> None:
    trail = AuditTrail(database, lambda: KEY)
    trail.record("client.create", actor="operator", outcome="ok", address="::1", request_id="r", scopes=("a", "b"), n=1)
    assert trail.flush()
    with database.session() as connection:
        line = connection.execute(select(audit)).one()
    assert (line.event, line.actor, line.outcome, line.address, line.request_id) == (
        "client.create",
        "operator",
        "ok",
        "::1",
        "r",
    )
    assert line.details == {"n": 1, "scopes": ["a", "b"]}
    assert trail.verify().broken is None


def test_an_untouched_trail_verifies(database: Database) -> None:
    assert _fill(database).verify().broken is None


def test_an_empty_trail_verifies(database: Database) -> None:
    assert AuditTrail(database, lambda: KEY).verify().broken is None


@pytest.mark.parametrize("column", ["at", "event", "actor", "outcome", "address", "request_id", "hash"])
def test_an_altered_line_is_named(database: Database, column: str) -> None:
    trail = _fill(database)
    with database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.id == 3).values({column: "x"}))
    broken = trail.verify().broken
    assert broken is not None
    assert broken.id == 3


def test_altered_details_are_named(database: Database) -> None:
    trail = _fill(database)
    with database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.id == 2).values(details={"number": 3, "x": "ä"}))
    assert trail.verify().broken == Broken(2, Why.ALTERED)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_removed_line_is_named(database: Database, number: int) -> None:
    trail = _fill(database)
    with database.transaction() as connection:
        connection.execute(delete(audit).where(audit.c.id == number))
    assert trail.verify().broken == Broken(number, Why.MISSING)


def test_an_inserted_line_is_noticed(database: Database) -> None:
    trail = _fill(database)
    with database.transaction() as connection:
        line = connection.execute(select(audit).where(audit.c.id == 5)).one()
        connection.execute(insert(audit).values(**(dict(line._mapping) | {"id": 6})))
        connection.execute(update(audit_head).values(last_id=6))
    broken = trail.verify().broken
    assert broken is not None
    assert broken.id == 6


def test_two_lines_that_changed_places_are_noticed(database: Database) -> None:
    trail = _fill(database)
    with database.transaction() as connection:
        for old, new in ((2, 100), (3, 2), (100, 3)):
            connection.execute(update(audit).where(audit.c.id == old).values(id=new))
    assert trail.verify().broken is not None


def test_processes_that_write_at_once_make_one_chain(database: Database, database_url: str) -> None:
    context = get_context("spawn")
    processes = [context.Process(target=record_many, args=(database_url, f"process-{n}", 50)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    trail = AuditTrail(database, lambda: KEY)
    assert trail.verify().broken is None
    assert trail.head().last.id == 150
