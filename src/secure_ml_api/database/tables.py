"""The tables as they are after the last migration. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    text,
)

metadata = MetaData()

# SQLite counts up only in a column of exactly the type INTEGER.
_Counter = BigInteger().with_variant(Integer, "sqlite")

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("secret_hash", String(255), nullable=False),
    Column("scopes", Text, nullable=False),  # separated by one space, sorted
    Column("requests", String(32), nullable=False),
    Column("rows", String(32), nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("token_id", String(255), primary_key=True),
    Column("client_id", String(512), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("revocations_by_expiry", revocations.c.expires_at)

# One line for each change of the two tables above, committed with it: whoever has seen line n asks for what came later.
changes = Table(
    "changes",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(255), nullable=False),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("event", String(64), nullable=False),
    Column("actor", String(600)),
    Column("outcome", String(32), nullable=False),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("details", JSON, nullable=False),
    Column("hash", String(64), nullable=False),
)

# The trail's last line, and the last of those that were pruned from its beginning, sealed with the key of the chain.
# Its row is the lock that puts writers in line.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("anchor_id", BigInteger, nullable=False, server_default="0"),
    Column("anchor_hash", String(64), nullable=False, server_default="0" * 64),
    Column("seal", String(64), nullable=False, server_default=""),
)

_CHANGES_LOCK = 0x736D6C61  # "smla": PostgreSQL's advisory locks are numbers


def record_change(connection: Connection, kind: str, subject: str) -> int:
    """Write the line of one change within its transaction; its number, which grows in the order of commits."""
    if connection.dialect.name == "postgresql":
        # Without the lock number 6 could be committed before number 5, and a reader that saw 6 would never see 5.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHANGES_LOCK})
    key = connection.execute(insert(changes).values(kind=kind, subject=subject)).inserted_primary_key
    return int(key[0]) if key else 0
