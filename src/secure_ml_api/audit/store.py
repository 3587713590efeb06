"""The lines of the trail in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from ..database.engine import Database
from ..database.tables import audit, audit_head
from .chain import BREAK_EVENT, Broken, Entry, Head, Line, Mark, Why, chained, is_sealed, seal

_CHUNK = 1000


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection whose every look sees the trail as it is now; raises StorageUnavailable."""
    with database.long_session() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield connection


def read_head(connection: Connection, *, lock: bool = False) -> tuple[Head, str] | None:
    """The head and its seal; None when somebody deleted it. ``lock`` keeps every other writer out until the commit."""
    wanted = select(audit_head).where(audit_head.c.id == 1)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        return None
    return Head(Mark(int(row.last_id), row.hash), Mark(int(row.anchor_id), row.anchor_hash)), row.seal


def append(database: Database, key: bytes, entries: Sequence[Entry], known: Mark) -> tuple[Head, Broken | None]:
    """Write ``entries`` behind the last line, all or none; the new head, and what was found broken before.

    ``known`` is a place that the trail has passed. A head without the seal of ``key``, or a trail that has not passed
    ``known``, is never just written on, which would seal the forgery: a line that says so comes first. Raises
    StorageUnavailable.
    """
    with database.transaction() as connection:
        # The lock on the head (on SQLite, of the whole database) puts the writers of all processes in line.
        found = read_head(connection, lock=True)
        head = Head() if found is None else found[0]
        broken = broken_head(connection, key, found, known)
        if broken is not None:
            highest = connection.execute(select(func.coalesce(func.max(audit.c.id), 0))).scalar_one()
            entries = [_break_entry(broken, head), *entries]
            head = replace(head, last=Mark(max(head.last.id, int(highest)), head.last.hash))
            if found is None:
                connection.execute(insert(audit_head).values(_head_columns(key, head)))
        head = extend(connection, key, head, entries)
    return head, broken


def extend(connection: Connection, key: bytes, head: Head, entries: Sequence[Entry]) -> Head:
    """Write ``entries`` behind ``head``, which is locked and was checked; the new head."""
    lines = chained(key, head.last, entries)
    head = replace(head, last=Mark(lines[-1].id, lines[-1].hash))
    connection.execute(insert(audit), [_columns(line) for line in lines])
    connection.execute(update(audit_head).where(audit_head.c.id == 1).values(_head_columns(key, head)))
    return head


def broken_head(connection: Connection, key: bytes, found: tuple[Head, str] | None, known: Mark) -> Broken | None:
    """What is wrong with a head that was ``found`` when the trail has passed ``known``, if anything."""
    if found is None:
        return Broken(0, Why.HEAD)
    head, sealed = found
    if not is_sealed(key, head, sealed):
        return Broken(head.last.id, Why.HEAD)
    if head.last.id < known.id:
        return Broken(head.last.id + 1, Why.CUT)
    if known.id <= head.anchor.id:
        return None
    if known.id == head.last.id:
        stored: str | None = head.last.hash
    else:
        stored = connection.execute(select(audit.c.hash).where(audit.c.id == known.id)).scalar_one_or_none()
    return None if stored == known.hash else Broken(known.id, Why.OTHER)


def read_lines(connection: Connection, after: int, up_to: int | None = None) -> Iterator[Line]:
    """The lines behind number ``after``, in order, read in chunks."""
    while True:
        wanted = select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(_CHUNK)
        rows = connection.execute(wanted if up_to is None else wanted.where(audit.c.id <= up_to)).all()
        for row in rows:
            yield _line(row)
        if len(rows) < _CHUNK:
            return
        after = rows[-1].id


def newest_lines(connection: Connection, limit: int, **wanted: str) -> list[Line]:
    """The last ``limit`` lines whose columns are as ``wanted``, oldest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    for column, value in wanted.items():
        query = query.where(audit.c[column] == value)
    return [_line(row) for row in reversed(connection.execute(query).all())]


def delete_pruned(database: Database, anchor: Mark) -> None:
    """Delete the lines up to the anchor, some at a time so that no other writer waits long; StorageUnavailable."""
    while True:
        with database.transaction() as connection:
            oldest = select(audit.c.id).where(audit.c.id <= anchor.id).order_by(audit.c.id).limit(_CHUNK)
            numbers = list(connection.execute(oldest).scalars())
            connection.execute(delete(audit).where(audit.c.id.in_(numbers)))
        if len(numbers) < _CHUNK:
            return


def _break_entry(broken: Broken, head: Head) -> Entry:
    details = {"line": broken.id, "why": str(broken.why), "found_last": head.last.id, "found_hash": head.last.hash}
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Entry(at, BREAK_EVENT, None, "broken", None, None, details)


def _head_columns(key: bytes, head: Head) -> dict[str, Any]:
    return {
        "id": 1,
        "last_id": head.last.id,
        "hash": head.last.hash,
        "anchor_id": head.anchor.id,
        "anchor_hash": head.anchor.hash,
        "seal": seal(key, head),
    }


def _line(row: Any) -> Line:
    entry = Entry(row.at, row.event, row.actor, row.outcome, row.address, row.request_id, row.details)
    return Line(row.id, entry, row.hash)


def _columns(line: Line) -> dict[str, Any]:
    entry = line.entry
    return {
        "id": line.id,
        "at": entry.at,
        "event": entry.event,
        "actor": entry.actor,
        "outcome": entry.outcome,
        "address": entry.address,
        "request_id": entry.request_id,
        "details": dict(entry.details),
        "hash": line.hash,
    }
