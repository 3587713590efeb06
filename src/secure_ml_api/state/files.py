"""The two files of an LMDB environment, its data and its lock: whether they are whole, and their end when they are not.

A page of the map that lies behind the end of a truncated file kills the process that touches it (SIGBUS), so a file is
looked at with calls that can only fail before it is mapped, and once a second while it is.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

Identity = tuple[int, int]
"""The inodes of data and lock; -1 where there is none."""

NOWHERE: Identity = (-1, -1)

# The first two pages of the data, each with a header of its own (mdb.c of LMDB 0.9, on 64 bits): a page header of 16
# bytes; MDB_meta with magic, data version, address, map size, two MDB_db of 48 bytes, of which the first begins with
# the size of a page; and the number of the last page in use.
_META = struct.Struct("=16xII16xI92xQ")
_MAGIC, _DATA_VERSION = 0xBEEFC0DE, 1
_SMALLEST_PAGE, _LARGEST_PAGE = 512, 65_536


def lock_of(data: Path) -> Path:
    """Where LMDB keeps the lock of ``data``."""
    return data.with_name(data.name + "-lock")


def identity(data: Path) -> Identity:
    """Which files are at ``data`` and its lock right now."""
    return _inode(data), _inode(lock_of(data))


class Pinned:
    """Which files were at ``data`` and its lock when this was made.

    While it lives no other file gets their inodes, which file systems hand out again at once.
    """

    def __init__(self, data: Path) -> None:
        descriptors = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (data, lock_of(data))]
        self.identity: Identity = (os.fstat(descriptors[0]).st_ino, os.fstat(descriptors[1]).st_ino)
        self.release = finalize(self, _close, descriptors)


def is_damaged(data: Path) -> bool:
    """Whether the file at ``data`` is shorter than it says, or does not begin as LMDB's files do.

    A file that is not there, or cannot be read, is not damaged. What lies behind the first two pages is not looked at.
    """
    try:
        descriptor = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        size_bytes = os.fstat(descriptor).st_size
        first = os.pread(descriptor, _META.size, 0)
        page_bytes = _META.unpack(first)[2] if len(first) == _META.size else 0
        if not _SMALLEST_PAGE <= page_bytes <= _LARGEST_PAGE:
            return True
        second = os.pread(descriptor, _META.size, page_bytes)
        return not all(_is_whole(header, page_bytes, size_bytes) for header in (first, second))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def discard(data: Path) -> None:
    """Remove both files; whoever has them open goes on with them until it looks for their names. Raises OSError.

    The lock goes first: data that is new must never be used with a lock that others hold for the old.
    """
    lock_of(data).unlink(missing_ok=True)
    data.unlink(missing_ok=True)


def discard_unless_whole(data: Path, gone: Identity) -> None:
    """Remove what is left of a pair of which one was deleted, what is damaged, and what belonged to ``gone``.

    Raises OSError.
    """
    present = identity(data)
    if present == NOWHERE:
        return
    of_the_gone = any(now == before for now, before in zip(present, gone, strict=True))
    if -1 in present or of_the_gone or is_damaged(data):
        discard(data)


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Keep every other process from opening, or removing, the files at ``data``; raises OSError."""
    guard = data.with_name(f".{data.name}.opening")
    while True:
        descriptor = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Somebody may have deleted the whole directory meanwhile: then others lock another file of this name.
            if os.fstat(descriptor).st_ino == _inode(guard):
                yield
                return
        finally:
            os.close(descriptor)


def _is_whole(header: bytes, page_bytes: int, size_bytes: int) -> bool:
    if len(header) < _META.size:
        return False
    magic, version, own_page_bytes, last_page = _META.unpack(header)
    known = (magic, version, own_page_bytes) == (_MAGIC, _DATA_VERSION, page_bytes)
    return known and (last_page + 1) * page_bytes <= size_bytes


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
