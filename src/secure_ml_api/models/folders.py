"""What the folders below ``home/models`` show without a look into their packages."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import HomeError
from .names import ALIASES_FILE, LIFE_FILE, is_plain

_DECIDED = (ALIASES_FILE, LIFE_FILE)


def decided(parent: Path) -> tuple[tuple[str, int, int], ...]:
    """What was decided about the model in ``parent``, as far as the times of its files tell."""
    with suppress(OSError), os.scandir(parent) as entries:
        found = [(each.name, each.stat().st_mtime_ns, each.inode()) for each in entries if each.name in _DECIDED]
        return tuple(sorted(found))
    return ()


def directories(path: Path) -> list[str]:
    """The names in ``path`` that may be models or versions, sorted; raises HomeError when it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if is_plain(entry.name) and _looks_like_directory(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise HomeError(f"{path} cannot be read ({error.strerror}); give the user who serves access to it") from None


def _looks_like_directory(entry: os.DirEntry[str]) -> bool:
    # A link is listed, so that verification can refuse it by name, where skipping it would hide it.
    return entry.is_dir(follow_symlinks=False) or entry.is_symlink()
