"""Fixed windows: the arithmetic of counters that start with their first charge and end a window later.

All time is nanoseconds of a clock that only goes forward, so that setting the wall clock changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, Protocol

NANOSECONDS = 1_000_000_000

_RECORD = Struct("<qq")
_LARGEST = 2**63 - 1
_LONGEST_KEY = 480  # LMDB takes 511 bytes


class Wanted(NamedTuple):
    """``cost`` units wanted from the counter ``key``, which holds ``limit`` units per window."""

    key: str
    limit: int
    window_seconds: int
    cost: int


class Window(NamedTuple):
    """What a counter holds, and how long until it starts from zero; a whole window when none is open."""

    used: int
    left_ns: int


class Verdict(NamedTuple):
    """Whether all that was wanted fits, and each counter's window: with the cost when charged, otherwise without."""

    admitted: bool
    windows: tuple[Window, ...]


class Table(Protocol):
    """What the arithmetic needs of a store; an LMDB transaction has it."""

    def get(self, key: bytes, /) -> bytes | None: ...

    def put(self, key: bytes, value: bytes, /) -> object: ...


def weigh(table: Table, wanted: Sequence[Wanted], now_ns: int, *, charge: bool) -> Verdict:
    """Whether ``wanted`` fits as a whole; with ``charge`` it is also taken, all of it or nothing.

    The keys must differ, and nobody else may write to ``table`` meanwhile.
    """
    admitted = True
    found = []
    for name, limit, window_seconds, cost in wanted:
        key = stored_key(name)
        length_ns = window_seconds * NANOSECONDS
        used, end_ns = _read(table.get(key), now_ns, length_ns)
        if used + cost > limit:
            admitted = False
        found.append((key, used, end_ns, cost))
    if not (admitted and charge):
        return Verdict(admitted, tuple([Window(used, end_ns - now_ns) for _, used, end_ns, _ in found]))
    windows = []
    for key, used, end_ns, cost in found:
        if cost:
            table.put(key, _RECORD.pack(used + cost, end_ns))
        windows.append(Window(used + cost, end_ns - now_ns))
    return Verdict(True, tuple(windows))


def add(table: Table, name: str, window_seconds: int, amount: int, now_ns: int) -> int:
    """Count ``amount`` whatever the limit; the new sum."""
    key = stored_key(name)
    used, end_ns = _read(table.get(key), now_ns, window_seconds * NANOSECONDS)
    used = min(used + amount, _LARGEST)
    table.put(key, _RECORD.pack(used, end_ns))
    return used


def look(table: Table, name: str, now_ns: int) -> Window:
    """The open window of a counter; zero used and zero left when none is open."""
    used, end_ns = _read(table.get(stored_key(name)), now_ns, _LARGEST)
    return Window(used, end_ns - now_ns) if used else Window(0, 0)


def is_over(record: bytes, now_ns: int) -> bool:
    """Whether ``record`` belongs to a window that has ended."""
    end_ns: int = _RECORD.unpack(record)[1]
    return end_ns <= now_ns


def stored_key(name: str) -> bytes:
    """``name`` as bytes that every store takes; long ones become a digest of themselves."""
    key = name.encode("utf-8", "surrogatepass")
    return key if len(key) <= _LONGEST_KEY else b"digest/" + blake2b(key, digest_size=32).hexdigest().encode()


def _read(record: bytes | None, now_ns: int, length_ns: int) -> tuple[int, int]:
    """Used units and end of the open window, or of a new one.

    A window that ends later than a new one would was written before the clock started anew (a reboot): it is over.
    """
    if record is not None:
        used, end_ns = _RECORD.unpack(record)
        if now_ns < end_ns <= now_ns + length_ns:
            return used, end_ns
    return 0, now_ns + length_ns
