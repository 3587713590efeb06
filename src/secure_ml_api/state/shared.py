"""LMDB files that all processes of a machine read and write, safe to lose.

There are two: what requests write all the time, and what they only read, so that a change of it shows in its version.

LMDB serialises writers across processes and gives the lock of a crashed one back, so a counter is exact and a killed
worker blocks nobody. Nothing here outlives a start of the server: what must is in the database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import lmdb

from ..errors import StorageUnavailable
from . import files
from .opened import DAMAGE, TABLES, Opened, Table

COUNTERS_FILE = "state.mdb"
STANDING_FILE = "standing.mdb"


class SharedState:
    """The shared file at ``path``, opened on first use in each process; use ``shared_state`` to get the one.

    LMDB forbids to open a file twice in a process and to use an environment across a fork: there is one object for a
    file in a process, and all are closed before a fork.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._lock = Lock()
        self._opened: Opened | None = None
        self._lost = False
        self._gone: files.Pinned | None = None

    def reading(self, table: Table) -> Transaction:
        """A read transaction on ``table``; raises StorageUnavailable when the file cannot be opened or read."""
        return Transaction(self._current(), table, write=False)

    def writing(self, table: Table) -> Transaction:
        """A write transaction on ``table``, the only one on the machine; raises StorageUnavailable as ``reading``."""
        return Transaction(self._current(), table, write=True)

    def free_dead_readers(self) -> int:
        """Let go of what killed processes were reading, which keeps old pages from being used again; how many."""
        try:
            freed: int = self._current().environment.reader_check()
        except lmdb.Error as error:
            raise StorageUnavailable(f"the shared state cannot be read ({type(error).__name__})") from error
        return freed

    def over_all(self, *, write: bool) -> TransactionOverAll:
        """One transaction over all tables: a consistent view of them, or an atomic change; raises as ``reading``."""
        return TransactionOverAll(self._current(), TABLES[0], write=write)

    @property
    def version(self) -> tuple[int, int]:
        """Another one after every change that any process commits: what was read at this version still holds at it.

        Without a transaction, so it costs half a microsecond. Raises StorageUnavailable.
        """
        opened = self._current()
        try:
            return opened.serial, opened.environment.info()["last_txnid"]
        except lmdb.Error as error:
            raise StorageUnavailable(f"the shared state cannot be read ({type(error).__name__})") from error

    def mend(self) -> bool:
        """Open the file anew if it was deleted, replaced or damaged since; True when so, and callers fill it again.

        Transactions of other threads end on the lost file. Raises StorageUnavailable when no file can be made; the next
        call tries again.
        """
        opened = self._opened
        if not self._lost and (opened is None or opened.is_whole(self._path)):
            return False
        del opened
        with self._lock:
            if not self._lost:
                self._lost = True
                if self._opened is not None:
                    self._gone = self._opened.pinned
                self._opened = None
        self._current()
        self._lost = False
        return True

    def distrust(self) -> None:
        """Take the file for damaged, as it held what nobody here writes: the next ``mend`` replaces it."""
        opened = self._opened
        if opened is not None:
            opened.damaged = True

    def close(self) -> None:
        """Close the file in this process; the next use opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.environment.close()
                opened.pinned.release()

    def _current(self) -> Opened:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                gone = files.NOWHERE if self._gone is None else self._gone.identity
                self._opened = Opened(self._path, self._size_bytes, gone)
                self._gone = None
            return self._opened


class Transaction:
    """One transaction: committed when its block ends, undone when the block raises.

    A class and not a generator with ``contextmanager``: that costs 2 µs more, as much as the transaction itself.
    """

    __slots__ = ("_opened", "_table", "_transaction", "_write")

    def __init__(self, opened: Opened, table: Table, *, write: bool) -> None:
        self._opened = opened
        self._table = table
        self._write = write

    def __enter__(self) -> Any:
        opened = self._opened
        try:
            transaction = opened.environment.begin(db=opened.tables[self._table], write=self._write)
        except lmdb.Error as error:
            raise self._unavailable(error) from error
        self._transaction = transaction
        return transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._transaction.commit()
            except lmdb.Error as failure:
                raise self._unavailable(failure) from failure
            return
        self._transaction.abort()
        if isinstance(error, lmdb.Error):
            raise self._unavailable(error) from error

    def _unavailable(self, error: lmdb.Error) -> StorageUnavailable:
        if isinstance(error, DAMAGE):
            self._opened.damaged = True
        verb = "written" if self._write else "read"
        return StorageUnavailable(f"the shared state cannot be {verb} ({type(error).__name__})")


class TransactionOverAll(Transaction):
    """A transaction together with the handles of all tables, for the ``db=`` of its calls."""

    __slots__ = ()

    def __enter__(self) -> tuple[Any, Mapping[Table, Any]]:
        return super().__enter__(), self._opened.tables


_states: dict[Path, SharedState] = {}
_states_lock = Lock()


def shared_state(path: Path, size_bytes: int = 64 * 1024 * 1024) -> SharedState:
    """The one SharedState of ``path`` in this process; no I/O until it is used."""
    with _states_lock:
        return _states.setdefault(path.absolute(), SharedState(path.absolute(), size_bytes))


@contextmanager
def opened_briefly() -> Iterator[None]:
    """Close every file of this process after the block, for one that must not die.

    Should somebody cut a file short, its next use kills whoever has it open: a worker has a successor, the master none.
    """
    try:
        yield
    finally:
        _close_all()


def _close_all() -> None:
    for state in _states.values():
        state.close()


os.register_at_fork(before=_close_all)
