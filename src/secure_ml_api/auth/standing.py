"""What still stands, known to every process of the machine at once: revoked tokens and the clients as they are now.

The database is the truth; the shared state under ``run/`` is a copy that is read with every request. A copy that was
lost is filled before anything is answered from it.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import orjson

from ..database.engine import Database
from ..errors import StorageUnavailable
from ..state.shared import SharedState
from . import records
from .records import ClientRecord, Revocation

# The number of the last change that the copy holds; its presence says that the copy is complete.
_APPLIED = b"applied change"
# Revocations are kept this long after the token's end, so that a clock set back by hours revives no token.
KEEP_EXPIRED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Standing:
    """One token's and its client's standing right now; ``client`` is None when it was deleted or never was."""

    revoked: bool
    client: ClientRecord | None


class StandingBook:
    """The copy in ``state`` of what ``database`` holds; nothing is opened before the first use."""

    def __init__(self, database: Database, state: SharedState) -> None:
        self._database = database
        self._state = state
        self._filling = Lock()

    @property
    def version(self) -> object:
        """Another one after every change of the copy: what ``look_up`` found at this version still holds at it.

        To be asked before ``look_up``. Raises StorageUnavailable.
        """
        return self._state.version

    def look_up(self, token_id: str, client_id: str | None) -> Standing:
        """The standing of a token and its client, from the shared copy alone once it is filled.

        ``client_id`` is None for a caller that is not registered here. Raises StorageUnavailable when neither the copy
        nor the database can tell.
        """
        for _ in range(2):
            with self._state.over_all(write=False) as (transaction, tables):
                filled = transaction.get(_APPLIED, db=tables["signals"]) is not None
                revoked = transaction.get(_digest(token_id), db=tables["revoked"]) is not None
                kept = None if client_id is None else transaction.get(_digest(client_id), db=tables["standing"])
            if filled:
                if revoked or client_id is None:
                    return Standing(revoked, None)
                return Standing(revoked, self._fetch(client_id) if kept is None else _unpacked(kept))
            self.fill()
        raise StorageUnavailable("the shared state was lost while it was read")

    def put_client(self, client_id: str, record: ClientRecord | None, revision: int) -> None:
        """Make a client as it is since the change ``revision`` known to the machine, or its deletion (None)."""
        with self._state.over_all(write=True) as (transaction, tables):
            _put_client(transaction, tables, client_id, record, revision)

    def put_revocation(self, revocation: Revocation) -> None:
        """Make a revocation known to the machine."""
        with self._state.over_all(write=True) as (transaction, tables):
            _put_revocation(transaction, tables, revocation)

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
        with self._state.over_all(write=False) as (transaction, tables):
            applied = _number(transaction.get(_APPLIED, db=tables["signals"]))
        if applied is None:
            self.fill()
            return
        with self._database.session() as connection:
            newest = records.newest_change(connection)
            if newest == applied:
                return
            # After a restore from a backup the numbers start again from an older one.
            restored = newest < applied
            changed = records.changed_since(connection, 0 if restored else applied)
        with self._state.over_all(write=True) as (transaction, tables):
            if restored:
                # Clients are what the database says now; revocations stay, as forgetting one would let a token in.
                transaction.drop(tables["standing"], delete=False)
            for client_id, record, revision in changed.clients:
                _put_client(transaction, tables, client_id, record, revision)
            for revocation in changed.revocations:
                _put_revocation(transaction, tables, revocation)
            _advance(transaction, tables, newest)

    def fill(self) -> None:
        """Copy everything from the database, then say that the copy is complete; raises StorageUnavailable."""
        with self._filling:
            with self._state.over_all(write=False) as (transaction, tables):
                if transaction.get(_APPLIED, db=tables["signals"]) is not None:
                    return
            with self._database.session() as connection:
                # The number first: a change that is committed while the rest is read is read again by catch_up.
                newest = records.newest_change(connection)
                clients = records.all_clients(connection)
                revocations = records.all_revocations(connection)
            with self._state.over_all(write=True) as (transaction, tables):
                for client in clients:
                    _put_client(transaction, tables, client.client_id, client, client.revision)
                for revocation in revocations:
                    _put_revocation(transaction, tables, revocation)
                _advance(transaction, tables, newest)

    def prune(self, now: float | None = None) -> int:
        """Forget revocations of tokens that ended long ago; how many. Raises StorageUnavailable."""
        horizon = int((time.time() if now is None else now) - KEEP_EXPIRED_SECONDS)
        with self._state.over_all(write=True) as (transaction, tables):
            table = tables["revoked"]
            with transaction.cursor(db=table) as cursor:
                ended = [key for key, end in cursor if (_number(end) or 0) < horizon]
            for key in ended:
                transaction.delete(key, db=table)
        return len(ended)

    def _fetch(self, client_id: str) -> ClientRecord | None:
        with self._database.session() as connection:
            found = records.find_client(connection, client_id)
        if found is not None:
            self.put_client(client_id, found, found.revision)
        return found


def _put_client(
    transaction: Any, tables: Mapping[Any, Any], client_id: str, record: ClientRecord | None, revision: int
) -> None:
    key, table = _digest(client_id), tables["standing"]
    kept = transaction.get(key, db=table)
    if kept is not None and orjson.loads(kept)["revision"] > revision:
        return  # a later change came first: writers do not wait for each other between the database and this copy
    content = {"revision": revision} if record is None else asdict(record) | {"scopes": sorted(record.scopes)}
    transaction.put(key, orjson.dumps(content), db=table)


def _put_revocation(transaction: Any, tables: Mapping[Any, Any], revocation: Revocation) -> None:
    transaction.put(_digest(revocation.token_id), struct.pack(">q", revocation.expires_at), db=tables["revoked"])


def _advance(transaction: Any, tables: Mapping[Any, Any], newest: int) -> None:
    transaction.put(_APPLIED, struct.pack(">q", newest), db=tables["signals"])


@lru_cache(maxsize=4096)  # keyed by the bytes just read: a changed client has other bytes
def _unpacked(kept: bytes) -> ClientRecord | None:
    content = orjson.loads(kept)
    if "client_id" not in content:
        return None
    return ClientRecord(**(content | {"scopes": frozenset(content["scopes"])}))


def _number(packed: bytes | None) -> int | None:
    return None if packed is None else int(struct.unpack(">q", packed)[0])


@lru_cache(maxsize=16_384)  # the same few ids come again and again
def _digest(text: str) -> bytes:
    """A key of one length for any id: LMDB's keys end at 511 bytes, ids of outside issuers do not."""
    return hashlib.sha256(text.encode()).digest()
