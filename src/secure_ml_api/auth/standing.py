"""What still stands, known to every process of the machine at once: revoked tokens and the clients as they are now.

The database is the truth; the shared state under ``run/`` is a copy that is read with every request. A copy that was
lost is filled before anything is answered from it. While a copy cannot be read, or is full and so behind, the database
itself is asked, for each request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

from sqlalchemy import Connection

from ..database.engine import Database
from ..errors import StorageUnavailable
from ..state.shared import SharedState
from . import records
from .copied import APPLIED, advance, digest, number, put_client, put_revocation, unpacked
from .records import ClientRecord, Revocation

# Revocations are kept this long after the token's end, so that a clock set back by hours revives no token.
KEEP_EXPIRED_SECONDS = 86_400


# With ``refuse``: housekeeping sees the database every second; two of those may be late.
_SIGHT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One token's and its client's standing right now; ``client`` is None when it was deleted or never was."""

    revoked: bool
    client: ClientRecord | None


class StandingBook:
    """The copy in ``state`` of what ``database`` holds; nothing is opened before the first use.

    ``on_error`` says what follows when the database cannot be asked for changes, so that a revocation made on another
    machine would not be seen: ``serve`` answers from the copy, ``refuse`` raises StorageUnavailable.
    """

    def __init__(
        self,
        database: Database,
        state: SharedState,
        on_error: Literal["serve", "refuse"] = "serve",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._state = state
        self._filling = Lock()
        self._clock = clock
        self._is_behind = False
        # With ``refuse``: until when what was last seen of the database may be answered from.
        self._good_until = None if on_error == "serve" else -math.inf

    @property
    def version(self) -> object:
        """Another one after every change of the copy: what ``look_up`` found at this version still holds at it.

        To be asked before ``look_up``. Raises StorageUnavailable.
        """
        self._require_sight()
        if self._is_behind:
            return object()  # nothing that was found holds on
        try:
            return self._state.version
        except StorageUnavailable:
            return object()

    def look_up(self, token_id: str, client_id: str | None) -> Standing:
        """The standing of a token and its client, from the shared copy alone while that is whole.

        ``client_id`` is None for a caller that is not registered here. Raises StorageUnavailable when neither the copy
        nor the database can tell.
        """
        self._require_sight()
        for _ in range(2):
            if self._is_behind:
                return self._ask(token_id, client_id)
            try:
                with self._state.over_all(write=False) as (transaction, tables):
                    filled = transaction.get(APPLIED, db=tables["signals"]) is not None
                    revoked = transaction.get(digest(token_id), db=tables["revoked"]) is not None
                    kept = None if client_id is None else transaction.get(digest(client_id), db=tables["standing"])
            except StorageUnavailable:
                return self._ask(token_id, client_id)
            if filled:
                if revoked or client_id is None:
                    return Standing(revoked, None)
                try:
                    return Standing(revoked, self._fetch(client_id) if kept is None else unpacked(kept))
                except ValueError:  # not what was written here
                    self._state.distrust()
                    return self._ask(token_id, client_id)
            try:
                self.fill()
            except StorageUnavailable:
                if not self._is_behind:  # so it was the database, which need not be asked again
                    raise
        return self._ask(token_id, client_id)

    def put_client(self, client_id: str, record: ClientRecord | None, revision: int) -> None:
        """Make a client as it is since the change ``revision`` known to the machine, or its deletion (None)."""
        with self._copy(write=True) as (transaction, tables):
            put_client(transaction, tables, client_id, record, revision)

    def put_revocation(self, revocation: Revocation) -> None:
        """Make a revocation known to the machine."""
        with self._copy(write=True) as (transaction, tables):
            put_revocation(transaction, tables, revocation)

    def mend(self) -> bool:
        """Notice a lost state file, and fill the new one; True when it was lost. Raises StorageUnavailable."""
        if not self._state.mend():
            return False
        self.fill()
        return True

    def catch_up(self) -> None:
        """Copy what other machines, or a process that could not write here, changed in the database since.

        Raises StorageUnavailable.
        """
        applied = self._applied()
        if applied is None:
            self.fill()
            return
        with self._seeing() as connection:
            newest = records.newest_change(connection)
            if newest == applied:
                self._is_behind = False
                return
            # After a restore from a backup the numbers start again from an older one.
            restored = newest < applied
            changed = records.changed_since(connection, 0 if restored else applied)
        with self._copy(write=True) as (transaction, tables):
            if restored:
                # Clients are what the database says now; revocations stay, as forgetting one would let a token in.
                transaction.drop(tables["standing"], delete=False)
            for client_id, record, revision in changed.clients:
                put_client(transaction, tables, client_id, record, revision)
            for revocation in changed.revocations:
                put_revocation(transaction, tables, revocation)
            advance(transaction, tables, newest)
        self._is_behind = False

    def fill(self) -> None:
        """Copy everything from the database, then say that the copy is complete; raises StorageUnavailable."""
        with self._filling:
            if self._applied() is not None:
                return
            with self._seeing() as connection:
                # The number first: a change that is committed while the rest is read is read again by catch_up.
                newest = records.newest_change(connection)
                clients = records.all_clients(connection)
                revocations = records.all_revocations(connection)
            with self._copy(write=True) as (transaction, tables):
                for client in clients:
                    put_client(transaction, tables, client.client_id, client, client.revision)
                for revocation in revocations:
                    put_revocation(transaction, tables, revocation)
                advance(transaction, tables, newest)
            self._is_behind = False

    def prune(self, now: float | None = None) -> int:
        """Forget revocations of tokens that ended long ago; how many. Raises StorageUnavailable."""
        horizon = int((time.time() if now is None else now) - KEEP_EXPIRED_SECONDS)
        with self._state.over_all(write=True) as (transaction, tables):
            table = tables["revoked"]
            with transaction.cursor(db=table) as cursor:
                ended = [key for key, end in cursor if (number(end) or 0) < horizon]
            for key in ended:
                transaction.delete(key, db=table)
        return len(ended)

    def _require_sight(self) -> None:
        if self._good_until is not None and self._clock() > self._good_until:
            raise StorageUnavailable("what was revoked elsewhere cannot be seen right now")

    @contextmanager
    def _seeing(self) -> Iterator[Connection]:
        """The database to read; whether it could be is remembered."""
        try:
            with self._database.session() as connection:
                yield connection
        except StorageUnavailable:
            if self._good_until is not None:
                self._good_until = -math.inf
            raise
        if self._good_until is not None:
            self._good_until = self._clock() + _SIGHT_SECONDS

    def _applied(self) -> int | None:
        """The number of the last change that the copy holds; None when it has to be filled."""
        with self._copy(write=False) as (transaction, tables):
            return number(transaction.get(APPLIED, db=tables["signals"]))

    @contextmanager
    def _copy(self, *, write: bool) -> Iterator[Any]:
        """The copy, to read or to write; one that fails is behind from now on, until all changes are in it again."""
        try:
            with self._state.over_all(write=write) as opened:
                yield opened
        except StorageUnavailable:
            self._is_behind = True
            raise

    def _ask(self, token_id: str, client_id: str | None) -> Standing:
        with self._seeing() as connection:
            revoked = records.is_revoked(connection, token_id)
            return Standing(revoked, None if client_id is None else records.find_client(connection, client_id))

    def _fetch(self, client_id: str) -> ClientRecord | None:
        with self._seeing() as connection:
            found = records.find_client(connection, client_id)
        if found is not None:
            with suppress(StorageUnavailable):
                self.put_client(client_id, found, found.revision)
        return found
