"""Counters in the machine's shared state: exact over all processes and threads of one machine, with no service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import lmdb

from ..errors import StorageUnavailable
from ..state.shared import SharedState, shared_state
from .counters import WindowStorage
from .windows import Seen, Table, Verdict, Wanted, is_over, stored_key, weigh

Answer = TypeVar("Answer")

_VISITED_AT_ONCE = 5_000
_VISITED_WHEN_FULL = 20_000
_DELETED_AT_ONCE = 256  # a write transaction keeps every other writer of the machine waiting, so it stays short


class LmdbStorage(WindowStorage):
    """``lmdb:///path/of/state.mdb``: the ``limits`` storage over the table ``counters`` of the shared state.

    A process killed inside a transaction leaves it undone and gives the lock back. When the file is full, counters
    whose window is over are deleted and the write is tried once more. Its methods raise StorageUnavailable.
    """

    STORAGE_SCHEME: list[str] | None = ["lmdb"]  # noqa: RUF012 – as the library declares it

    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        *,
        state: SharedState | None = None,
        **options: Any,
    ) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._state = state or shared_state(Path(unquote(urlsplit(uri).path)))
        self._visited_up_to = b""

    def _reading(self) -> AbstractContextManager[Table]:
        return self._state.reading("counters")

    def _writing(self) -> AbstractContextManager[Table]:
        return self._state.writing("counters")

    def charge(self, wanted: Wanted) -> Verdict:
        try:
            return super().charge(wanted)
        except StorageUnavailable as error:
            return self._after_making_room(error, lambda: super(LmdbStorage, self).charge(wanted))

    def charge_within(self, transaction: Table, wanted: Wanted) -> Verdict:
        """As ``charge``, in a write transaction of the shared state that does other things as well."""
        return weigh(transaction, wanted, self._clock(), charge=True)

    def charge_each_within(self, transaction: Table, wanted: Iterable[Wanted | None]) -> list[Verdict | None]:
        """As ``charge_within``, for each of several that stand for themselves; None for None."""
        seen, now_ns = Seen(transaction), self._clock()
        verdicts = [None if each is None else weigh(seen, each, now_ns, charge=True) for each in wanted]
        seen.write()
        return verdicts

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        try:
            return super().incr(key, expiry, amount)
        except StorageUnavailable as error:
            return self._after_making_room(error, lambda: super(LmdbStorage, self).incr(key, expiry, amount))

    def purge(self, visits: int = _VISITED_AT_ONCE) -> int:
        """Delete counters whose window is over among the next ``visits``, going round the table; how many."""
        self._state.free_dead_readers()
        over = self._find_over(visits)
        at_once, deleted = _DELETED_AT_ONCE, 0
        while over:
            try:
                deleted += self._delete_over(over[:at_once])
            except StorageUnavailable as error:
                # Deleting takes new pages before it frees old ones; a full file may have too few for a large step.
                if not _is_full(error) or at_once == 1:
                    raise
                at_once //= 4
            else:
                over = over[at_once:]
        return deleted

    def reset(self) -> int | None:
        with self._state.writing("counters") as transaction:
            keys = list(transaction.cursor().iternext(values=False))
            for key in keys:
                transaction.delete(key)
        return len(keys)

    def clear(self, key: str) -> None:
        with self._state.writing("counters") as transaction:
            transaction.delete(stored_key(key))

    def _after_making_room(self, error: StorageUnavailable, again: Callable[[], Answer]) -> Answer:
        if not _is_full(error) or not self.purge(_VISITED_WHEN_FULL):
            raise error
        return again()

    def _delete_over(self, keys: Sequence[bytes]) -> int:
        """Delete those of ``keys`` whose window is over still; somebody may have opened a new one since the look."""
        deleted = 0
        with self._state.writing("counters") as transaction:
            now_ns = self._clock()
            for key in keys:
                record = transaction.get(key)
                if record is not None and is_over(record, now_ns):
                    transaction.delete(key)
                    deleted += 1
        return deleted

    def _find_over(self, visits: int) -> list[bytes]:
        """Keys whose window is over, from where the last look ended; a read, so that no writer waits for it."""
        over = []
        now_ns = self._clock()
        with self._state.reading("counters") as transaction:
            cursor = transaction.cursor()
            more = cursor.set_range(self._visited_up_to) if self._visited_up_to else cursor.first()
            while more and visits:
                visits -= 1
                if is_over(cursor.value(), now_ns):
                    over.append(cursor.key())
                more = cursor.next()
            self._visited_up_to = cursor.key() if more else b""
        return over


def _is_full(error: StorageUnavailable) -> bool:
    return isinstance(error.__cause__, lmdb.MapFullError)
