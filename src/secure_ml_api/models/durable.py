"""Packages put in place so that a crash leaves the whole of one or none of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import PackageRefused


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and return when it is on the disk; raises OSError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Return when the names in a folder are on the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_to_new(staged: Path, final: Path) -> None:
    """Put a folder in place in one step; raises PackageRefused when there is one with files in it already."""
    try:
        # A directory that has files in it cannot be replaced by a rename, so of two packers one loses here.
        staged.rename(final)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            name = f"{final.parent.name}/{final.name}"
            raise PackageRefused(f"{name} exists and is never overwritten; choose another version") from None
        raise
