"""A home made of a backup: every file held against the index, and none written anywhere else."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import HomeError
from .backup_form import CONFIGURATION, DATABASE, FOLDERS, FORMAT, INDEX, KEYS, MODELS, Hashed

_INDEX_LIMIT = 64 << 20


def read_backup(path: Path, home: Path) -> dict[str, Any]:
    """Make ``home``, which must not be there or be empty, of the backup; its index.

    Nothing of a backup that is damaged is left. Raises HomeError.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise HomeError(f"{home} is not empty: name a home that is not there yet")
    made = not home.exists()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Inside, since an empty home may be a volume, into which nothing can be renamed from outside.
        with tempfile.TemporaryDirectory(dir=home, prefix=".restore-") as directory:
            staged = Path(directory)
            with tarfile.open(path, mode="r:") as archive:
                index = _unpack(path, archive, staged)
            # The keys first, as `serve` makes new ones where there are none, and last the database, without which
            # nothing serves: so a crash in between leaves nothing that could be taken for the home.
            for entry in sorted(staged.iterdir(), key=lambda each: (each.name == DATABASE, each.name != KEYS)):
                entry.rename(home / entry.name)
    except tarfile.TarError as error:
        raise HomeError(f"{path} is no backup, or is damaged: {error}") from error
    except OSError as error:
        raise HomeError(f"{error.filename or path}: {error.strerror or error}") from error
    finally:
        if made and home.exists() and not any(home.iterdir()):
            home.rmdir()
    return index


def _unpack(path: Path, archive: tarfile.TarFile, staged: Path) -> dict[str, Any]:
    found: dict[str, str] = {}
    index: dict[str, Any] | None = None
    for name, content in _plain_files(path, archive):
        if name == INDEX:
            index = _read_index(path, content.read(_INDEX_LIMIT))
        else:
            _require_ours(path, name)
            found[name] = _write(staged, name, content)
    if index is None:
        raise HomeError(f"{path} ends early: it was not written to its end")
    wrong = sorted(found.items() ^ index["sha256"].items())
    if wrong:
        raise HomeError(f"{path} is damaged: {wrong[0][0]} is not as it was when the backup was made")
    return index


def _write(staged: Path, name: str, content: IO[bytes]) -> str:
    """Write a new file, for its owner alone unless it is a package's; its digest."""
    public = name.startswith(f"{MODELS}/")
    for parent in reversed(Path(name).parents[:-1]):  # mkdir leaves the mode of parents to the umask
        (staged / parent).mkdir(mode=0o755 if public else 0o700, exist_ok=True)
    target = staged / name
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    hashed = Hashed(content)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(hashed, file)
        os.fchmod(descriptor, 0o644 if public else 0o600)
        file.flush()
        os.fsync(descriptor)
    return hashed.digest()


def _plain_files(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise HomeError(f"{path} is no backup of a home: {member.name} is no plain file")
        with content:
            yield member.name, content


def _read_index(path: Path, content: bytes) -> dict[str, Any]:
    try:
        index = json.loads(content)
        known = index["format"] == FORMAT and all(isinstance(digest, str) for digest in index["sha256"].values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        known = False
    if not known:
        raise HomeError(f"{path} is no backup that this release reads")
    return dict(index)


def _require_ours(path: Path, name: str) -> None:
    parts = name.split("/")
    inside = len(parts) > 1 and parts[0] in FOLDERS and not {"", ".", ".."} & set(parts) and "\0" not in name
    if not inside and name not in {DATABASE, CONFIGURATION}:
        raise HomeError(f"{path} is no backup of a home: {name} has no place in one")
