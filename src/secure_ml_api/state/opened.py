"""One opening of an LMDB environment: it never begins with files that would kill who touches them."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Literal

import lmdb

from ..errors import StorageUnavailable
from . import files
from .environment import open_environment

Table = Literal["counters", "in_flight", "revoked", "standing", "signals"]
TABLES: tuple[Table, ...] = ("counters", "in_flight", "revoked", "standing", "signals")

# What LMDB raises on pages that hold something else than it wrote: the file is of no more use.
DAMAGE = (
    lmdb.BadDbiError,
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.MapResizedError,
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)

_serials = count()


class Opened:
    """The environment and its tables. A lost file's are only let go of: other threads may still be using them, and
    the environment closes when the last of them is done.
    """

    def __init__(self, path: Path, size_bytes: int, gone: files.Identity = files.NOWHERE) -> None:
        """``gone`` is the pair of files that this process gave up: nothing of it is opened again."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with files.alone(path):
                files.discard_unless_whole(path, gone)
                try:
                    self._open(path, size_bytes)
                except DAMAGE:
                    files.discard(path)
                    self._open(path, size_bytes)
                self.pinned = files.Pinned(path)
        except (lmdb.Error, OSError) as error:
            raise StorageUnavailable(f"the shared state cannot be opened ({type(error).__name__})") from error
        self.damaged = False
        # Another LMDB than the one that is known here may write other headers.
        self._has_known_headers = not files.is_damaged(path)
        self.serial = next(_serials)

    def is_whole(self, path: Path) -> bool:
        """Whether the files are still those at ``path``, and nothing says that they are damaged."""
        if self.damaged or self.pinned.identity != files.identity(path):
            return False
        return not (self._has_known_headers and files.is_damaged(path))

    def _open(self, path: Path, size_bytes: int) -> None:
        environment = open_environment(path, size_bytes, len(TABLES))
        try:
            self.tables = {table: environment.open_db(table.encode()) for table in TABLES}
        except lmdb.Error:
            environment.close()
            raise
        self.environment = environment
