"""Rows of the database as values: clients, revocations, and what changed since a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from ..database.tables import changes, clients, revocations

CLIENT = "client"
REVOCATION = "revocation"


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A registered client without its secret; times are seconds since the epoch, ``revision`` its last change."""

    client_id: str
    name: str
    scopes: frozenset[str]
    requests: str
    rows: str
    concurrency: int
    enabled: bool
    created_at: int
    rotated_at: int
    revision: int


@dataclass(frozen=True, slots=True)
class Revocation:
    """A token that is refused from now on; ``expires_at`` is its end anyway, in seconds since the epoch."""

    token_id: str
    client_id: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Clients (None when deleted) with the number of their last change, and revocations."""

    clients: Sequence[tuple[str, ClientRecord | None, int]]
    revocations: Sequence[Revocation]


_CLIENT_COLUMNS = [column for column in clients.c if column.name != "secret_hash"]


def find_client(connection: Connection, client_id: str) -> ClientRecord | None:
    """The client of that id."""
    row = connection.execute(select(*_CLIENT_COLUMNS).where(clients.c.client_id == client_id)).one_or_none()
    return None if row is None else _client(row)


def find_client_by_name(connection: Connection, name: str) -> ClientRecord | None:
    """The client of that name."""
    row = connection.execute(select(*_CLIENT_COLUMNS).where(clients.c.name == name)).one_or_none()
    return None if row is None else _client(row)


def find_secret(connection: Connection, client_id: str) -> tuple[ClientRecord, str] | None:
    """The client of that id and the hash of its secret."""
    found = connection.execute(
        select(*_CLIENT_COLUMNS, clients.c.secret_hash).where(clients.c.client_id == client_id)
    ).one_or_none()
    return None if found is None else (_client(found), str(found.secret_hash))


def all_clients(connection: Connection) -> tuple[ClientRecord, ...]:
    """All clients by name."""
    return tuple(_client(row) for row in connection.execute(select(*_CLIENT_COLUMNS).order_by(clients.c.name)))


def all_revocations(connection: Connection) -> tuple[Revocation, ...]:
    """All revocations."""
    return tuple(Revocation(*row) for row in connection.execute(_revocations()))


def is_revoked(connection: Connection, token_id: str) -> bool:
    """Whether the token of that id was revoked."""
    return connection.execute(_revocations().where(revocations.c.token_id == token_id)).first() is not None


def newest_change(connection: Connection) -> int:
    """The number of the last change, 0 when there was none."""
    return int(connection.execute(select(func.coalesce(func.max(changes.c.id), 0))).scalar_one())


def changed_since(connection: Connection, number: int) -> Changed:
    """What changed after ``number``, as it is now."""
    latest: dict[tuple[str, str], int] = {}
    for id_, kind, subject in connection.execute(
        select(changes.c.id, changes.c.kind, changes.c.subject).where(changes.c.id > number).order_by(changes.c.id)
    ):
        latest[kind, subject] = id_
    changed_clients: list[tuple[str, ClientRecord | None, int]] = []
    revoked: list[Revocation] = []
    for (kind, subject), id_ in latest.items():
        if kind == CLIENT:
            found = find_client(connection, subject)
            changed_clients.append((subject, found, id_ if found is None else found.revision))
        else:
            row = connection.execute(_revocations().where(revocations.c.token_id == subject)).one_or_none()
            if row is not None:
                revoked.append(Revocation(*row))
    return Changed(changed_clients, revoked)


def _revocations() -> Any:
    return select(revocations.c.token_id, revocations.c.client_id, revocations.c.expires_at)


def _client(row: Any) -> ClientRecord:
    return ClientRecord(
        client_id=row.client_id,
        name=row.name,
        scopes=frozenset(row.scopes.split()),
        requests=row.requests,
        rows=row.rows,
        concurrency=row.concurrency,
        enabled=row.enabled,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        revision=row.revision,
    )
