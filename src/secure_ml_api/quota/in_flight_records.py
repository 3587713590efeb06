"""A subject's record in the table ``in_flight``: (slot, leases) of every worker that holds some."""

from __future__ import annotations

from struct import pack, unpack
from typing import Any


def packed(pairs: tuple[int, ...]) -> bytes:
    return pack(f"<{len(pairs)}I", *pairs)


def others_in(record: bytes | None, slot: int) -> tuple[int, ...]:
    """The (slot, leases) pairs of ``record``, flat, without those of ``slot``."""
    if record is None:
        return ()
    pairs = unpack(f"<{len(record) // 4}I", record)
    if len(pairs) == 2 and pairs[0] == slot:
        return ()
    return tuple(number for at in range(0, len(pairs), 2) if pairs[at] != slot for number in pairs[at : at + 2])


def put(transaction: Any, key: bytes, pairs: tuple[int, ...]) -> None:
    """Write ``pairs``; a subject with none has no record, so that subjects which come once leave nothing."""
    if pairs:
        transaction.put(key, packed(pairs))
    else:
        transaction.delete(key)
