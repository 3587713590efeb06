"""Tokens refused before their end: written to the database, then known to the whole machine at once."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select

from ..database.engine import Database
from ..database.tables import record_change, revocations
from .records import REVOCATION, Revocation
from .standing import KEEP_EXPIRED_SECONDS, StandingBook


class Revocations:
    """The revocations in ``database``."""

    def __init__(self, database: Database, book: StandingBook | None = None) -> None:
        self._database = database
        self._book = book

    def revoke(self, token_id: str, client_id: str, expires_at: int) -> None:
        """Refuse a token from now on, on every worker of this machine and, within seconds, everywhere.

        Idempotent. Raises StorageUnavailable: then nothing is promised and the caller tries again.
        """
        with self._database.transaction() as connection:
            known = connection.execute(select(revocations.c.token_id).where(revocations.c.token_id == token_id)).first()
            if known is None:
                # The lock that record_change takes on PostgreSQL lets one of two callers in at a time.
                record_change(connection, REVOCATION, token_id)
                known = connection.execute(
                    select(revocations.c.token_id).where(revocations.c.token_id == token_id)
                ).first()
            if known is None:
                values = {"token_id": token_id, "client_id": client_id, "expires_at": expires_at}
                connection.execute(insert(revocations).values(**values))
        if self._book is not None:
            self._book.put_revocation(Revocation(token_id, client_id, expires_at))

    def prune(self, now: float | None = None) -> int:
        """Delete revocations of tokens that ended long ago; how many. Raises StorageUnavailable."""
        horizon = int((time.time() if now is None else now) - KEEP_EXPIRED_SECONDS)
        with self._database.transaction() as connection:
            return connection.execute(delete(revocations).where(revocations.c.expires_at < horizon)).rowcount
