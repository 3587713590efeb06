"""How the shared LMDB file is opened: through its memory map where that is safe, which halves what a write costs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lmdb

_MAX_READERS = 2048

# Here a reserved page stays reserved and is written in place. Copy-on-write file systems (btrfs, zfs) take a new one
# for each write, and what lies under an overlay is not known.
_RESERVING_FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "tmpfs")


def open_environment(path: Path, size_bytes: int, tables: int) -> Any:
    """The LMDB environment at ``path``, at most ``size_bytes`` long; raises lmdb.Error.

    Written through the map, a transaction costs 2 µs, with write calls 5. But a page of the map that the file system
    has no room for kills the process that touches it, where a write call only fails. So the map is written only when
    the whole file could be reserved first.
    """
    options: dict[str, Any] = {
        "subdir": False,
        "map_size": size_bytes,
        "max_dbs": tables,
        "max_readers": _MAX_READERS,
        "max_spare_txns": 64,
        "mode": 0o600,
        "sync": False,
        "metasync": False,
        "readahead": False,
    }
    if filesystem(path.parent) in _RESERVING_FILESYSTEMS:
        environment = lmdb.open(str(path), writemap=True, **options)
        if reserve(path, size_bytes):
            return environment
        environment.close()
    environment = lmdb.open(str(path), **options)
    # Its full length, without taking room for it: so a shorter file is a truncated one, whatever LMDB left unwritten.
    if path.stat().st_size < size_bytes:
        os.truncate(path, size_bytes)
    return environment


def filesystem(directory: Path) -> str:
    """The type of the file system that ``directory`` is on; empty when the kernel does not say."""
    try:
        device = directory.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for fields in map(str.split, mounts):
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return ""


def reserve(path: Path, size_bytes: int) -> bool:
    """Whether the file at ``path`` has all its ``size_bytes`` on the disk now; what is in it stays.

    When that would take more than half of the free space, it is not even tried: the database needs some too.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            missing_bytes = size_bytes - os.fstat(descriptor).st_blocks * 512
            disk = os.fstatvfs(descriptor)
            if disk.f_bavail * disk.f_frsize < 2 * missing_bytes:
                return False
            os.posix_fallocate(descriptor, 0, size_bytes)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True
