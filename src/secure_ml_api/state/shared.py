"""One LMDB file that all processes of a machine read and write, safe to lose.

LMDB serialises writers across processes and gives the lock of a crashed one back, so a counter is exact and a killed
worker blocks nobody. Nothing here outlives a start of the server: what must is in the database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import lmdb

from ..errors import StorageUnavailable

Table = Literal["counters", "in_flight", "revoked", "standing", "signals"]
TABLES: tuple[Table, ...] = ("counters", "in_flight", "revoked", "standing", "signals")

_MAX_READERS = 2048


class SharedState:
    """The shared file at ``path``, opened on first use in each process; use ``shared_state`` to get the one.

    LMDB forbids to open a file twice in a process and to use an environment across a fork: there is one object for a
    file in a process, and all are closed before a fork.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._lock = Lock()
        self._opened: _Opened | None = None

    @contextmanager
    def reading(self, table: Table) -> Iterator[Any]:
        """A read transaction on ``table``; raises StorageUnavailable when the file cannot be opened or read."""
        opened = self._current()
        try:
            with opened.environment.begin(db=opened.tables[table]) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise StorageUnavailable(f"the shared state cannot be read ({type(error).__name__})") from error

    @contextmanager
    def writing(self, table: Table) -> Iterator[Any]:
        """A write transaction on ``table``, the only one on the machine; raises StorageUnavailable as ``reading``."""
        opened = self._current()
        try:
            with opened.environment.begin(db=opened.tables[table], write=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise StorageUnavailable(f"the shared state cannot be written ({type(error).__name__})") from error

    def mend(self) -> bool:
        """Open the file anew if it was deleted or replaced since; True when it was, so that callers fill it again."""
        opened = self._opened
        if opened is None or opened.inode == _inode(self._path):
            return False
        with self._lock:
            self._opened = None
        self._current()
        return True

    def close(self) -> None:
        """Close the file in this process; the next use opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.environment.close()

    def _current(self) -> _Opened:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                self._opened = _Opened(self._path, self._size_bytes)
            return self._opened


class _Opened:
    """The environment and its tables; when the file is lost they are dropped, as other threads may still read."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.environment = lmdb.open(
                str(path),
                subdir=False,
                map_size=size_bytes,
                max_dbs=len(TABLES),
                max_readers=_MAX_READERS,
                max_spare_txns=64,
                mode=0o600,
                sync=False,
                metasync=False,
                readahead=False,
            )
            self.tables = {table: self.environment.open_db(table.encode()) for table in TABLES}
        except (lmdb.Error, OSError) as error:
            raise StorageUnavailable(f"the shared state cannot be opened ({type(error).__name__})") from error
        self.inode = _inode(path)


_states: dict[Path, SharedState] = {}
_states_lock = Lock()


def shared_state(path: Path, size_bytes: int = 64 * 1024 * 1024) -> SharedState:
    """The one SharedState of ``path`` in this process; no I/O until it is used."""
    with _states_lock:
        return _states.setdefault(path.absolute(), SharedState(path.absolute(), size_bytes))


def _close_all() -> None:
    for state in _states.values():
        state.close()


os.register_at_fork(before=_close_all)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
