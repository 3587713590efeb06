"""The audit trail: lines are queued by requests and written, chained, by one thread per process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from ..database.engine import Database
from ..errors import HomeError, SecureMlApiError
from ..telemetry.client_certificates import current_client_certificate
from .chain import Broken, Entry, Head, Line, Mark
from .checkpoint import Checkpoint
from .exported import ExportedFile, write_lines
from .rotation import NEVER, Retention, Rotation, Wanted
from .store import broken_head, newest_lines, read_head, read_lines, snapshot
from .verifying import Verdict, verdict
from .writer import Writer

log = logging.getLogger(__name__)

_QUEUE_LIMIT = 10_000


class AuditTrail:
    """The trail in ``database``; safe to build before a fork, as the writing thread starts with the first line.

    ``key`` gives the key of the chain when it is first needed, and may raise OperatorError then. ``directory`` holds
    the checkpoint and the files of pruned lines; without one there are neither. ``dropped`` counts the lines of this
    process that were lost because the database was away for too long; a line that says how many is written when it is
    back.
    """

    def __init__(
        self,
        database: Database,
        key: Callable[[], bytes],
        directory: Path | None = None,
        retention: Retention = NEVER,
        queue_limit: int = _QUEUE_LIMIT,
    ) -> None:
        self._database = database
        self._key = key
        self._checkpoint = None if directory is None else Checkpoint(directory)
        self._rotation = None if directory is None else Rotation(database, key, directory, retention)
        self._queue_limit = queue_limit
        self._lock = Lock()
        self._writer: Writer | None = None
        self._complaint = ""

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

    def close(self, timeout_seconds: float = 5.0) -> None:
        """``flush`` at the end of a process; what could not be written is gone then, and the log says how much."""
        if not self.flush(timeout_seconds) and self._writer is not None:
            log.error("%d lines of the audit trail could not be written and are lost", self._writer.unwritten)

    def verify(self, known: Iterable[Mark] = (), files: Iterable[Path] = ()) -> Verdict:
        """Recompute the chain of the whole trail, of the files of pruned lines in the directory, and of ``files``.

        Whoever can write to the database, and has no key, cannot alter, remove, insert or move a line unnoticed. Lines
        cut off the end together with an older head are noticed by this home's checkpoint and by ``known``: places that
        the trail has passed, from the log. ``files`` are exported ones; what they hold may be in the database too.
        Raises StorageUnavailable, and OperatorError for a file, a checkpoint or a key that cannot be read.
        """
        key = self._key()
        # Before the trail is looked at: lines written meanwhile come after it.
        passed = [*known] if self._checkpoint is None else [*known, self._checkpoint.read(key)]
        with snapshot(self._database) as connection:
            found = read_head(connection)
            # After it: what is pruned meanwhile is in a file and in the database.
            kept = [] if self._rotation is None else self._rotation.files()
            return verdict(key, connection, found, passed, [*kept, *files])

    def verify_head(self) -> Broken | None:
        """As ``verify``, but of the lines only the one that the checkpoint names is looked at; raises as ``verify``."""
        key = self._key()
        known = Mark() if self._checkpoint is None else self._checkpoint.read(key)
        with snapshot(self._database) as connection:
            return broken_head(connection, key, read_head(connection), known)

    def head(self) -> Head:
        """Where the trail ends and begins, unchecked; raises StorageUnavailable."""
        with self._database.session() as connection:
            found = read_head(connection)
            return Head() if found is None else found[0]

    def prune(self, wanted: Wanted) -> ExportedFile | None:
        """Move the oldest lines to a file, 20,000 at most; None when there are none. Raises as ``Rotation.prune``."""
        if self._rotation is None:
            raise HomeError("this trail has no directory for files")
        return self._rotation.prune(wanted)

    def export(self, path: Path, up_to: int | None = None) -> ExportedFile:
        """Write the lines in the database, up to number ``up_to``, to ``path``; HomeError, StorageUnavailable."""
        with snapshot(self._database) as connection:
            found = read_head(connection)
            after = Mark() if found is None else found[0].anchor
            return write_lines(path, after, read_lines(connection, after.id, up_to))

    def newest(self, limit: int, **wanted: str) -> list[Line]:
        """The last ``limit`` lines whose columns are as ``wanted``, oldest first, unchecked; StorageUnavailable."""
        with self._database.session() as connection:
            return newest_lines(connection, limit, **wanted)

    def _current_writer(self) -> Writer:
        writer = self._writer
        if writer is not None and writer.pid == os.getpid():
            return writer
        with self._lock:
            if self._writer is None or self._writer.pid != os.getpid():
                self._writer = Writer(
                    self._database, self._key, self._checkpoint, self._queue_limit, self._rotate_when_due
                )
            return self._writer

    def _rotate_when_due(self, head: Head) -> None:
        if self._rotation is None:
            return
        try:
            pruned = self._rotation.rotate_when_due(head)
        except SecureMlApiError as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                log.error("the audit trail could not be rotated: %s", error)  # noqa: TRY400 — its text says it all
        else:
            self._complaint = ""
            if pruned is not None:
                log.info("%d lines of the audit trail went to %s", pruned.count, pruned.path)


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
