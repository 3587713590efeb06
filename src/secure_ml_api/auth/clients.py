"""Client applications: made, looked after and recognised by their secret."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.exc import IntegrityError

from ..access_sections import QuotasSettings
from ..database.engine import Database
from ..database.tables import clients, record_change
from ..errors import OperatorError, StorageUnavailable, SubjectNotFound
from ..setting_sections import Rate
from . import records
from .policy import parse_scopes
from .records import CLIENT, ClientRecord
from .secrets import SecretHasher, new_secret
from .standing import StandingBook

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,99}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RATE: TypeAdapter[str] = TypeAdapter(Rate)
_CONCURRENCY_LIMIT = 1_000_000


class Clients:
    """The clients in ``database``; every change is made known to the whole machine through ``book`` at once.

    ``quotas`` are those of a client that is created without its own.
    """

    def __init__(
        self, database: Database, hasher: SecretHasher, quotas: QuotasSettings, book: StandingBook | None = None
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._quotas = quotas
        self._book = book

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        requests: str | None = None,
        rows: str | None = None,
        concurrency: int | None = None,
    ) -> tuple[ClientRecord, str]:
        """Register a client; the record, and the secret that is never shown again.

        Raises OperatorError for a name that is taken or unfit, an unknown scope or a bad quota.
        """
        if _NAME.fullmatch(name) is None:
            raise OperatorError(
                "a client's name is up to 100 letters, digits, spaces and . _ @ -, a letter or digit first"
            )
        secret, client_id, now = new_secret(), secrets.token_hex(16), int(time.time())
        values = {
            "name": name,
            "scopes": _joined(scopes),
            "requests": _rate(requests or self._quotas.requests, "requests"),
            "rows": _rate(rows or self._quotas.rows, "rows"),
            "concurrency": _concurrency(concurrency if concurrency is not None else self._quotas.concurrency),
            "secret_hash": self._hasher.hash(secret),
            "enabled": True,
            "created_at": now,
            "rotated_at": now,
        }
        try:
            with self._database.transaction() as connection:
                revision = record_change(connection, CLIENT, client_id)
                connection.execute(insert(clients).values(client_id=client_id, revision=revision, **values))
                record = _found(connection, client_id)
        except IntegrityError:
            raise OperatorError(f"there is a client named {name!r} already; names are unique") from None
        self._announce(client_id, record, revision)
        return record, secret

    def list(self) -> tuple[ClientRecord, ...]:
        """All clients by name."""
        with self._database.session() as connection:
            return records.all_clients(connection)

    def show(self, reference: str) -> ClientRecord:
        """The client whose id, or whose name, is ``reference``; raises SubjectNotFound."""
        with self._database.session() as connection:
            return _found(connection, reference)

    def rotate_secret(self, reference: str) -> tuple[ClientRecord, str]:
        """Give a client a new secret, shown this once; the old one is refused from now on. Raises SubjectNotFound."""
        secret = new_secret()
        changed = {"secret_hash": self._hasher.hash(secret), "rotated_at": int(time.time())}
        return self._change(reference, **changed), secret

    def disable(self, reference: str) -> ClientRecord:
        """Refuse the client's secret and all its tokens from now on; raises SubjectNotFound."""
        return self._change(reference, enabled=False)

    def enable(self, reference: str) -> ClientRecord:
        """Accept the client's secret, and those of its tokens that did not end, again; raises SubjectNotFound."""
        return self._change(reference, enabled=True)

    def set_scopes(self, reference: str, scopes: Iterable[str]) -> ClientRecord:
        """Change what a client may do, its tokens included, from now on; raises OperatorError, SubjectNotFound."""
        return self._change(reference, scopes=_joined(scopes))

    def delete(self, reference: str) -> ClientRecord:
        """Forget a client; its tokens are refused from now on. Raises SubjectNotFound."""
        with self._database.transaction() as connection:
            record = _found(connection, reference)
            revision = record_change(connection, CLIENT, record.client_id)
            connection.execute(delete(clients).where(clients.c.client_id == record.client_id))
        self._announce(record.client_id, None, revision)
        return record

    def recognise(self, client_id: str, secret: str) -> ClientRecord | None:
        """The enabled client that this is the secret of; every other answer is None and takes the same time.

        Raises StorageUnavailable and Overloaded.
        """
        found = None
        if _CLIENT_ID.fullmatch(client_id) is not None:
            with self._database.session() as connection:
                found = records.find_secret(connection, client_id)
        record, stored = (None, None) if found is None else found
        matched = self._hasher.matches(stored, secret)
        return record if matched and record is not None and record.enabled else None

    def _change(self, reference: str, **values: Any) -> ClientRecord:
        with self._database.transaction() as connection:
            client_id = _found(connection, reference).client_id
            revision = record_change(connection, CLIENT, client_id)
            connection.execute(
                update(clients).where(clients.c.client_id == client_id).values(revision=revision, **values)
            )
            record = _found(connection, client_id)
        self._announce(client_id, record, revision)
        return record

    def _announce(self, client_id: str, record: ClientRecord | None, revision: int) -> None:
        """Tell the machine; where that fails the change is committed all the same, and every worker polls for it."""
        if self._book is None:
            return
        try:
            self._book.put_client(client_id, record, revision)
        except StorageUnavailable:
            return


def _found(connection: Connection, reference: str) -> ClientRecord:
    found = records.find_client(connection, reference) or records.find_client_by_name(connection, reference)
    if found is None:
        raise SubjectNotFound("there is no such client")
    return found


def _joined(scopes: Iterable[str]) -> str:
    return " ".join(sorted(parse_scopes(scopes)))


def _rate(text: str, what: str) -> str:
    try:
        return _RATE.validate_python(text)
    except ValidationError:
        raise OperatorError(
            f"the quota of {what} is not a rate such as 600/minute (second, minute, hour, day)"
        ) from None


def _concurrency(number: int) -> int:
    if not 1 <= number <= _CONCURRENCY_LIMIT:
        raise OperatorError(f"the concurrency is not between 1 and {_CONCURRENCY_LIMIT}")
    return number
