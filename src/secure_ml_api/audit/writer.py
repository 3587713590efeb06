"""The queue of one process and the thread that empties it into the trail."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Condition, Thread
from time import monotonic

from ..database.engine import Database
from ..errors import OperatorError, SecureMlApiError
from .chain import Entry, Head, Mark
from .checkpoint import Checkpoint
from .store import append

log = logging.getLogger(__name__)

_BATCH_LIMIT = 500
RETRY_SECONDS = 1.0
# The head goes to the log this often, from where it is shipped to another machine: whoever sets the database and this
# home back to an older copy does not reach it there.
_TELL_SECONDS = 3600.0


class Writer:
    """Writes what is put, in order; a database that is away is tried again until it is back.

    ``after_batch`` is called in the thread, with the new head, after each batch.
    """

    def __init__(
        self,
        database: Database,
        key: Callable[[], bytes],
        checkpoint: Checkpoint | None,
        queue_limit: int,
        after_batch: Callable[[Head], None],
    ) -> None:
        self.pid = os.getpid()
        self.dropped = 0
        self._first_dropped_at = ""
        self._told_dropped = 0
        self._database = database
        self._key = key
        self._checkpoint = checkpoint
        self._after_batch = after_batch
        self._queue: queue.Queue[Entry] = queue.Queue(queue_limit)
        self._idle = Condition()
        self._unwritten = 0
        self._complained = False
        self._told_at: float | None = None
        Thread(target=self._run, name="audit", daemon=True).start()

    @property
    def unwritten(self) -> int:
        """Lines that wait to be written."""
        return self._unwritten

    def put(self, entry: Entry) -> None:
        """Queue ``entry``; when there is no room it is dropped, which is counted, logged once and written later."""
        with self._idle:
            first_lost = False
            try:
                self._queue.put_nowait(entry)
                self._unwritten += 1
            except queue.Full:
                first_lost = self.dropped == self._told_dropped
                self.dropped += 1
                if first_lost:
                    self._first_dropped_at = entry.at
        if first_lost:
            log.error("lines of the audit trail are being dropped, as it could not be written for too long")

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was put is written; False when the time ran out first."""
        with self._idle:
            return self._idle.wait_for(lambda: self._unwritten == 0, timeout_seconds)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH_LIMIT and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            head = self._write_until_done(batch)
            self._tell(head)
            self._after_batch(head)
            with self._idle:
                self._unwritten -= len(batch)
                self._idle.notify_all()

    def _write_until_done(self, batch: list[Entry]) -> Head:
        failing_since: float | None = None
        pause = Condition()
        while True:
            with self._idle:
                lost, since = self.dropped, self._first_dropped_at
            entries = batch if lost == self._told_dropped else [*batch, _loss(lost - self._told_dropped, since)]
            try:
                head = self._write(entries)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next attempt may succeed and the thread must live
                if failing_since is None:
                    failing_since = monotonic()
                    log.warning("the audit trail cannot be written (%s); lines are kept and tried again", _named(error))
                with pause:
                    pause.wait(RETRY_SECONDS)
            else:
                self._told_dropped = lost
                if failing_since is not None:
                    log.warning("the audit trail is written again after %.0f s", monotonic() - failing_since)
                return head

    def _write(self, entries: list[Entry]) -> Head:
        key = self._key()
        head, broken = append(self._database, key, entries, self._known(key))
        if broken is not None:
            log.error(
                "the audit trail is not as it was left, at line %d: %s; run `secure-ml-api audit verify`",
                broken.id,
                broken.why,
            )
        self._remember(key, head.last, back_too=broken is not None)
        return head

    def _known(self, key: bytes) -> Mark:
        if self._checkpoint is None:
            return Mark()
        try:
            return self._checkpoint.read(key)
        except OperatorError as error:
            self._complain(error)
            return Mark()

    def _remember(self, key: bytes, mark: Mark, *, back_too: bool) -> None:
        if self._checkpoint is None:
            return
        try:
            self._checkpoint.advance(key, mark, back_too=back_too)
        except OperatorError as error:
            self._complain(error)
        else:
            self._complained = False

    def _complain(self, error: OperatorError) -> None:
        """Once, until it works again: the trail itself is written without a checkpoint too."""
        if not self._complained:
            self._complained = True
            log.error("the checkpoint of the audit trail: %s", error)

    def _tell(self, head: Head) -> None:
        now = monotonic()
        if self._told_at is None or now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            log.info("the audit trail stands at %d:%s", head.last.id, head.last.hash)


def _loss(count: int, since: str) -> Entry:
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Entry(at, "audit.dropped", None, "lost", None, None, {"lines": count, "pid": os.getpid(), "since": since})


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, SecureMlApiError) else type(error).__name__
