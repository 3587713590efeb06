"""The audit trail: lines are queued by requests and written, chained, by one thread per process."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Condition, Lock, Thread
from time import monotonic
from typing import Any

from ..database.engine import Database
from ..errors import SecureMlApiError
from ..telemetry.client_certificates import current_client_certificate
from .chain import Broken, Entry, first_break
from .store import append, head, lines

log = logging.getLogger(__name__)

_QUEUE_LIMIT = 10_000
_BATCH_LIMIT = 500
_RETRY_SECONDS = 1.0


class AuditTrail:
    """The trail in ``database``; safe to build before a fork, as the writing thread starts with the first line.

    ``dropped`` counts the lines of this process that were lost because the database was away for too long; a line that
    says how many is written when it is back.
    """

    def __init__(self, database: Database, queue_limit: int = _QUEUE_LIMIT) -> None:
        self._database = database
        self._queue_limit = queue_limit
        self._lock = Lock()
        self._writer: _Writer | None = None

    @property
    def dropped(self) -> int:
        writer = self._writer
        return writer.dropped if writer is not None else 0

    def record(
        self,
        event: str,
        *,
        actor: str | None,
        outcome: str,
        address: str | None = None,
        request_id: str | None = None,
        **details: str | int | float | bool | Sequence[str] | None,
    ) -> None:
        """Queue one line; returns at once and never raises for what the database does.

        ``details`` never hold a secret or a token.
        """
        certificate = current_client_certificate.get()
        if certificate is not None:
            details["client_certificate"] = certificate.subject
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        who = _clean(actor, 600), outcome, _clean(address, 64), _clean(request_id, 64)
        self._current_writer().put(Entry(at, event, *who, _plain(details)))

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until all that was recorded is written; False when the time ran out first."""
        writer = self._writer
        return True if writer is None or writer.pid != os.getpid() else writer.flush(timeout_seconds)

    def verify(self) -> Broken | None:
        """Read the whole trail and recompute its chain: the first broken line, or None.

        An altered, removed or inserted line breaks the chain; lines cut off the end disagree with the head. Somebody
        who can write to the database can recompute everything: ship the head's hash elsewhere to be safe from that.
        Raises StorageUnavailable.
        """
        with self._database.session() as connection:
            # The head first: lines written meanwhile come after it and are not looked at.
            last_id, last_hash = head(connection)
            return first_break(lines(connection, last_id), last_id, last_hash)

    def head(self) -> tuple[int, str]:
        """Number and hash of the last line; raises StorageUnavailable."""
        with self._database.session() as connection:
            return head(connection)

    def _current_writer(self) -> _Writer:
        writer = self._writer
        if writer is not None and writer.pid == os.getpid():
            return writer
        with self._lock:
            if self._writer is None or self._writer.pid != os.getpid():
                self._writer = _Writer(self._database, self._queue_limit)
            return self._writer


class _Writer:
    """The queue of one process and the thread that empties it."""

    def __init__(self, database: Database, queue_limit: int) -> None:
        self.pid = os.getpid()
        self.dropped = 0
        self._told_dropped = 0
        self._database = database
        self._queue: queue.Queue[Entry] = queue.Queue(queue_limit)
        self._idle = Condition()
        self._unwritten = 0
        Thread(target=self._run, name="audit", daemon=True).start()

    def put(self, entry: Entry) -> None:
        with self._idle:
            self._unwritten += 1
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            with self._idle:
                self._unwritten -= 1
                self.dropped += 1

    def flush(self, timeout_seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._unwritten == 0, timeout_seconds)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH_LIMIT and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._write_until_done(batch)
            with self._idle:
                self._unwritten -= len(batch)
                self._idle.notify_all()

    def _write_until_done(self, batch: list[Entry]) -> None:
        failing_since: float | None = None
        pause = Condition()
        while True:
            lost = self.dropped
            entries = batch if lost == self._told_dropped else [*batch, _loss(lost - self._told_dropped)]
            try:
                append(self._database, entries)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next attempt may succeed and the thread must live
                if failing_since is None:
                    failing_since = monotonic()
                    log.warning("the audit trail cannot be written (%s); lines are kept and tried again", _named(error))
                with pause:
                    pause.wait(_RETRY_SECONDS)
            else:
                self._told_dropped = lost
                if failing_since is not None:
                    log.warning("the audit trail is written again after %.0f s", monotonic() - failing_since)
                return


def _loss(count: int) -> Entry:
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Entry(at, "audit.dropped", None, "lost", None, None, {"lines": count, "pid": os.getpid()})


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _clean(value, 2000) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
        for key, value in sorted(details.items())
        if value is not None
    }


def _clean(value: str | None, limit: int) -> str | None:
    """``value`` without control characters (PostgreSQL refuses NUL, and a line is one line), cut to ``limit``."""
    if value is None:
        return None
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in value[:limit])


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, SecureMlApiError) else type(error).__name__
