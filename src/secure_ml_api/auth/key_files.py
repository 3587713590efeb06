"""Private keys on disk: made whole or not at all, and refused when others may read them."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from ..errors import KeyFileError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_directory(directory: Path) -> None:
    """Make ``directory`` for its owner alone; raises KeyFileError when that cannot be, or is not so already."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{directory}: {error.strerror}") from error
    require_private(directory, "700")


def require_private(path: Path, wanted: str) -> os.stat_result:
    """The status of ``path``; raises KeyFileError, saying the chmod to run, when others may reach it."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing: run `secure-ml-api init` with the same --home") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    _check(path, status, wanted)
    return status


def read_private(path: Path) -> bytes:
    """The bytes of ``path``; raises KeyFileError when it is missing, no plain file, or open to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing: run `secure-ml-api init` with the same --home") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        # The open file is judged, not the name, which may mean another file by now.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is not a plain file")
        _check(path, status, "600")
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``, 0600, so that a reader or a crash sees the old file or the new one, whole.

    Raises KeyFileError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep every other process from changing the keys of ``directory``; the lock goes with the process."""
    try:
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFileError(f"{directory} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result, wanted: str) -> None:
    if status.st_mode & _OTHERS:
        raise KeyFileError(f"{path} is open to other users: run `chmod {wanted} {quote(str(path))}`")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
