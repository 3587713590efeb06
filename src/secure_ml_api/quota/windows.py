"""Fixed windows: the arithmetic of counters that start with their first charge and end a window later.

All time is nanoseconds of a clock that only goes forward, so that setting the wall clock changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, Protocol

NANOSECONDS = 1_000_000_000

_RECORD = Struct("<qq")  # units used, end of the window
_pack, _unpack = _RECORD.pack, _RECORD.unpack
_LARGEST = 2**63 - 1
_LONGEST_KEY = 480  # LMDB takes 511 bytes


class Counter(NamedTuple):
    """One quota of one subject: at most ``limit`` units per window, counted under ``key``."""

    key: str
    stored_key: bytes
    limit: int
    window_seconds: int


# What a request asks of its quotas: units of each counter; and what is found there: units used, nanoseconds left (a
# whole window when none is open). Plain tuples, as each request makes several.
Wanted = Sequence[tuple[Counter, int]]
Window = tuple[int, int]

# Whether all that was wanted fits, and each counter's window: with the cost when charged, otherwise without.
Verdict = tuple[bool, list[Window]]


class Table(Protocol):
    """What the arithmetic needs of a store; an LMDB transaction has it."""

    def get(self, key: bytes, /) -> bytes | None: ...

    def put(self, key: bytes, value: bytes, /) -> object: ...


class Seen:
    """A table of which each record is read once and written once, by ``write``, however often it is charged between."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._records: dict[bytes, bytes | None] = {}
        self._changed: dict[bytes, bytes] = {}

    def get(self, key: bytes, /) -> bytes | None:
        if key not in self._records:
            self._records[key] = self._table.get(key)
        return self._records[key]

    def put(self, key: bytes, value: bytes, /) -> None:
        self._records[key] = self._changed[key] = value

    def write(self) -> None:
        for key, value in self._changed.items():
            self._table.put(key, value)


def weigh(table: Table, wanted: Wanted, now_ns: int, *, charge: bool) -> Verdict:
    """Whether ``wanted`` fits as a whole; with ``charge`` it is also taken, all of it or nothing.

    The counters must differ, and nobody else may write to ``table`` meanwhile.
    """
    admitted = True
    windows, charged = [], []
    for (_, key, limit, window_seconds), cost in wanted:
        window = used, left_ns = _read(table.get(key), now_ns, window_seconds * NANOSECONDS)
        windows.append(window)
        if cost:
            used += cost
            if used > limit:
                admitted = False
        charged.append((used, left_ns))
    if not (admitted and charge):
        return admitted, windows
    for ((_, key, _, _), cost), (used, left_ns) in zip(wanted, charged, strict=True):
        if cost:
            table.put(key, _pack(used, now_ns + left_ns))
    return True, charged


def add(table: Table, name: str, window_seconds: int, amount: int, now_ns: int) -> int:
    """Count ``amount`` whatever the limit; the new sum."""
    key = stored_key(name)
    used, left_ns = _read(table.get(key), now_ns, window_seconds * NANOSECONDS)
    used = min(used + amount, _LARGEST)
    table.put(key, _pack(used, now_ns + left_ns))
    return used


def look(table: Table, name: str, now_ns: int) -> Window:
    """The open window of a counter; zero used and zero left when none is open."""
    window = _read(table.get(stored_key(name)), now_ns, _LARGEST)
    return window if window[0] else (0, 0)


def is_over(record: bytes, now_ns: int) -> bool:
    """Whether ``record`` belongs to a window that has ended."""
    end_ns: int = _unpack(record)[1]
    return end_ns <= now_ns


def stored_key(name: str) -> bytes:
    """``name`` as bytes that every store takes; long ones become a digest of themselves."""
    key = name.encode("utf-8", "surrogatepass")
    return key if len(key) <= _LONGEST_KEY else b"digest/" + blake2b(key, digest_size=32).hexdigest().encode()


def _read(record: bytes | None, now_ns: int, length_ns: int) -> Window:
    """Used units and time left of the open window, or of a new one.

    A window that ends later than a new one would was written before the clock started anew (a reboot): it is over.
    """
    if record is not None:
        used, end_ns = _unpack(record)
        if 0 < end_ns - now_ns <= length_ns:
            return used, end_ns - now_ns
    return 0, length_ns
