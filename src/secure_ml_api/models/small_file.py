"""Small JSON files beside the versions of a model: read without following links, replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_LIMIT_BYTES = 64 * 1024


def read_small(path: Path) -> bytes | None:
    """What the file holds, up to a limit; None when there is none. Raises OSError when it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, _LIMIT_BYTES)
    finally:
        os.close(descriptor)


def write_small(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the file; a reader sees the old one or the new one, whole."""
    descriptor, staged = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(staged).replace(path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
