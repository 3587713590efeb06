"""The trail kept within bounds: the oldest lines go to a file, and only then from the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from time import monotonic

from ..database.engine import Database
from ..errors import HomeError, StorageUnavailable
from .chain import PRUNED_EVENT, Broken, Entry, Head, Mark, first_break, is_sealed
from .checkpoint import locked
from .exported import ExportedFile, write_lines
from .store import delete_pruned, extend, read_head, read_lines, snapshot

# A file at most, so that a rotation holds the writer up for a second and its memory stays small.
FILE_LINES = 20_000
_AGE_LOOK_SECONDS = 600.0
_FILES = "lines-*.jsonl"


@dataclass(frozen=True, slots=True)
class Retention:
    """How much stays in the database: lines, and days; 0 is no bound."""

    max_lines: int = 0
    max_days: int = 0


NEVER = Retention()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to prune: lines up to a number, recorded before a moment (ISO 8601, UTC), to a file, by somebody."""

    up_to: int | None = None
    before: str = "9999"
    path: Path | None = None
    actor: str | None = None
    accept_broken: bool = False
    """Prune lines that do not verify as well: somebody has explained them, and the file keeps them as they are."""


class Rotation:
    """Prunes the trail in ``database`` into files in ``directory``."""

    def __init__(self, database: Database, key: Callable[[], bytes], directory: Path, retention: Retention) -> None:
        self._database = database
        self._key = key
        self._directory = directory
        self._retention = retention
        self._look_at = monotonic()

    def rotate_when_due(self, head: Head) -> ExportedFile | None:
        """Prune one file of the oldest lines when there are too many, or too old ones; what was pruned, if anything.

        Raises HomeError when the file cannot be written, and StorageUnavailable: nothing is pruned then.
        """
        retention = self._retention
        if retention.max_lines and head.last.id - head.anchor.id >= retention.max_lines + self._step:
            return self.prune(Wanted(head.anchor.id + self._step))
        if not retention.max_days or monotonic() < self._look_at:
            return None
        self._look_at = monotonic() + _AGE_LOOK_SECONDS
        # Whole days, so that a day's lines are one file.
        end = (datetime.now(UTC) - timedelta(days=retention.max_days)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        return self.prune(Wanted(before=end.isoformat(timespec="microseconds")))

    def files(self) -> list[Path]:
        """The files of pruned lines that are in the directory."""
        return sorted(path for path in self._directory.glob(_FILES) if path.is_file())

    @property
    def _step(self) -> int:
        return max(1, min(FILE_LINES, self._retention.max_lines // 10))

    def prune(self, wanted: Wanted) -> ExportedFile | None:
        """Move the oldest lines to a file, as many as are ``wanted`` and go in one; None when there are none.

        Never prunes lines that do not verify unless they are accepted. Raises HomeError and StorageUnavailable.
        """
        try:
            with locked(self._directory):
                return self._prune(wanted)
        except OSError as error:
            raise HomeError(f"{self._directory} cannot be written: {error.strerror}") from error

    def _prune(self, wanted: Wanted) -> ExportedFile | None:
        key = self._key()
        with snapshot(self._database) as connection:
            head = self._sealed_head(read_head(connection), key)
            oldest = islice(read_lines(connection, head.anchor.id, wanted.up_to), FILE_LINES)
            lines = list(takewhile(lambda line: line.entry.at < wanted.before, oldest))
        if not lines:
            return None
        last = Mark(lines[-1].id, lines[-1].hash)
        broken = first_break(key, lines, head.anchor, last)
        if broken is not None and not wanted.accept_broken:
            raise HomeError(f"line {broken.id}: {broken.why}; run `secure-ml-api audit verify`")
        name = f"lines-{lines[0].id:012d}-{last.id:012d}.jsonl"
        file = write_lines(wanted.path or self._directory / name, head.anchor, lines)
        if not self._move_anchor(key, file, _pruned(file, wanted.actor, broken)):
            file.path.unlink(missing_ok=True)
            return None
        delete_pruned(self._database, last)
        return file

    def _move_anchor(self, key: bytes, file: ExportedFile, told: Entry) -> bool:
        """Whether the trail now begins behind ``file``; not when another machine pruned it meanwhile.

        The head and a line of the trail say so, with the last pruned hash, in one transaction.
        """
        with self._database.transaction() as connection:
            head = self._sealed_head(read_head(connection, lock=True), key)
            if head.anchor != file.after:
                return False
            extend(connection, key, replace(head, anchor=file.last), [told])
        return True

    @staticmethod
    def _sealed_head(found: tuple[Head, str] | None, key: bytes) -> Head:
        if found is None or not is_sealed(key, *found):
            raise StorageUnavailable("the head of the audit trail was altered; run `secure-ml-api audit verify`")
        return found[0]


def _pruned(file: ExportedFile, actor: str | None, broken: Broken | None) -> Entry:
    details: dict[str, str | int] = {
        "first": file.after.id + 1,
        "last": file.last.id,
        "last_hash": file.last.hash,
        "file": file.path.name,
        "sha256": file.sha256,
    }
    if broken is not None:
        details |= {"broken_line": broken.id, "why": str(broken.why)}
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Entry(at, PRUNED_EVENT, actor, "ok" if broken is None else "broken", None, None, details)
