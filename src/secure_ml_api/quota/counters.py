"""Stores of counters: what the limiter asks of one, and the part that those with fixed windows of ours share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from limits.storage import Storage

from ..errors import StorageUnavailable
from .windows import NANOSECONDS, Table, Verdict, Wanted, add, look, weigh


class Counters(Protocol):
    """A ``limits`` storage that can also charge several counters at once, or none of them."""

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What its methods raise when the store does not answer."""
        ...

    def charge(self, wanted: Wanted) -> Verdict:
        """Take all of ``wanted`` or nothing, as one step that no other process or thread sees half of."""
        ...

    def charge_each(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        """``charge`` for one after the other, at the cost of little more than one."""
        ...

    def peek(self, wanted: Wanted) -> Verdict:
        """What ``charge`` would answer now; takes nothing."""
        ...

    def purge(self) -> int:
        """Forget some counters whose window is over, in bounded time; how many."""
        ...

    def incr(self, key: str, expiry: int, amount: int = 1) -> int: ...

    def get(self, key: str) -> int: ...

    def get_expiry(self, key: str) -> float: ...

    def check(self) -> bool: ...

    def reset(self) -> int | None: ...

    def clear(self, key: str) -> None: ...


class WindowStorage(Storage):
    """A ``limits`` storage over a table of fixed windows, kept on the machine's monotonic clock.

    Windows start with their first charge, under the same keys as the library's FixedWindow strategy, so whoever uses
    that strategy on the same store counts in the same place.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
        **_options: Any,
    ) -> None:
        """``clock`` gives nanoseconds that never go back, the same in all processes that share the table."""
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._clock = clock

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Table]:
        """The table as it is at one moment."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Table]:
        """The table, with every other writer kept out."""

    @property
    def base_exceptions(self) -> type[Exception]:
        return StorageUnavailable

    def charge(self, wanted: Wanted) -> Verdict:
        with self._writing() as table:
            return weigh(table, wanted, self._clock(), charge=True)

    def charge_each(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        return [self.charge(each) for each in wanted]

    def peek(self, wanted: Wanted) -> Verdict:
        with self._reading() as table:
            return weigh(table, wanted, self._clock(), charge=False)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        with self._writing() as table:
            return add(table, key, expiry, amount, self._clock())

    def get(self, key: str) -> int:
        with self._reading() as table:
            return look(table, key, self._clock())[0]

    def get_expiry(self, key: str) -> float:
        """When the window of ``key`` ends, as seconds of the wall clock: the library's unit, and only for display."""
        with self._reading() as table:
            return time.time() + look(table, key, self._clock())[1] / NANOSECONDS

    def check(self) -> bool:
        try:
            with self._reading():
                return True
        except StorageUnavailable:
            return False
