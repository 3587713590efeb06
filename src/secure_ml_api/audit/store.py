"""The lines of the trail in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ..database.engine import Database
from ..database.tables import audit, audit_head
from .chain import Entry, chained_hash

_CHUNK = 1000


def head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last line."""
    last_id, last_hash = connection.execute(select(audit_head.c.last_id, audit_head.c.hash)).one()
    return int(last_id), str(last_hash)


def append(database: Database, entries: Sequence[Entry]) -> None:
    """Write ``entries`` behind the last line, all or none; raises StorageUnavailable."""
    with database.transaction() as connection:
        # The lock on the head (on SQLite, of the whole database) puts the writers of all processes in line.
        last_id, last_hash = connection.execute(
            select(audit_head.c.last_id, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update()
        ).one()
        rows = []
        for entry in entries:
            last_id += 1
            last_hash = chained_hash(last_hash, last_id, entry)
            rows.append({"id": last_id, "hash": last_hash} | _columns(entry))
        connection.execute(insert(audit), rows)
        connection.execute(update(audit_head).where(audit_head.c.id == 1).values(last_id=last_id, hash=last_hash))


def lines(connection: Connection, last_id: int) -> Iterator[tuple[int, Entry, str]]:
    """Number, entry and hash of every line up to ``last_id``, in order, read in chunks."""
    after = 0
    while rows := connection.execute(
        select(audit).where(audit.c.id > after, audit.c.id <= last_id).order_by(audit.c.id).limit(_CHUNK)
    ).all():
        for row in rows:
            entry = Entry(row.at, row.event, row.actor, row.outcome, row.address, row.request_id, row.details)
            yield row.id, entry, row.hash
        after = rows[-1].id


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "event": entry.event,
        "actor": entry.actor,
        "outcome": entry.outcome,
        "address": entry.address,
        "request_id": entry.request_id,
        "details": dict(entry.details),
    }
