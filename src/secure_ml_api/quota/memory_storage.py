"""Counters in the memory of one process: ``memory://``, and where quotas are counted while their store is away."""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import Any, Self

from .counters import WindowStorage
from .windows import is_over, stored_key

_PURGED_AT_ONCE = 5_000


class MemoryTable(dict[bytes, bytes]):
    """A dictionary with the verbs of an LMDB transaction, entered by one thread at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    put = dict.__setitem__

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()


class MemoryStorage(WindowStorage):
    """Exact over the threads of one process; not shared with any other.

    The library's own memory storage lets go of a key's lock when its window ends, keeps windows on the wall clock and
    starts a thread when it is built (before the fork); none of these would do here.
    """

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._table = MemoryTable()
        self._to_visit: list[bytes] = []

    def _locked(self) -> MemoryTable:
        return self._table

    _reading = _writing = _locked

    def purge(self) -> int:
        purged = 0
        with self._table:
            if not self._to_visit:
                self._to_visit = list(self._table)
            now_ns = self._clock()
            for _ in range(min(_PURGED_AT_ONCE, len(self._to_visit))):
                key = self._to_visit.pop()
                record = self._table.get(key)
                if record is not None and is_over(record, now_ns):
                    del self._table[key]
                    purged += 1
        return purged

    def reset(self) -> int | None:
        with self._table:
            forgotten = len(self._table)
            self._table.clear()
        return forgotten

    def clear(self, key: str) -> None:
        with self._table:
            self._table.pop(stored_key(key), None)
