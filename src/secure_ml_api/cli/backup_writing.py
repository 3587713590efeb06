"""A home in one file, taken while a server runs on it."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from .. import __version__
from ..errors import HomeError
from ..settings import Settings
from .backup_form import AUDIT, CONFIGURATION, DATABASE, FORMAT, INDEX, KEYS, MODELS, Hashed

Stamps = dict[str, tuple[int, int, int]]


def write_backup(settings: Settings, path: Path) -> dict[str, Any]:
    """Write the home of ``settings`` to ``path``, whole and on the disk or not at all; the index of what is in it.

    Raises HomeError, and KeyFileError for a home without keys.
    """
    from ..auth.key_files import require_private

    require_private(settings.keys_directory, "700")
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Others can read it at no moment: the keys are in it.
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            index = _write(settings, file)
            file.flush()
            os.fsync(descriptor)
        os.link(staged, path)  # unlike a rename it never replaces a file
    except FileExistsError:
        raise HomeError(f"{path} exists already: name a file that does not") from None
    except OSError as error:
        raise HomeError(f"{error.filename or path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise HomeError(f"the database cannot be copied: {error}") from error
    finally:
        staged.unlink(missing_ok=True)
    return index


def _write(settings: Settings, file: IO[bytes]) -> dict[str, Any]:
    from ..audit.checkpoint import locked as audit_locked
    from ..auth.key_files import locked as keys_locked

    digests: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        # Key rotation, and the audit trail's checkpoint and pruning, wait meanwhile; requests do not.
        with keys_locked(settings.keys_directory), audit_locked(settings.audit_directory):
            _add_folder(archive, settings.keys_directory, KEYS, digests)
            # The database after the checkpoint: a trail that ends before its checkpoint counts as cut off.
            _add_folder(archive, settings.audit_directory, AUDIT, digests)
            has_database = _add_database(archive, settings, digests)
        _add_folder(archive, settings.models_directory, MODELS, digests)
        if (settings.home / CONFIGURATION).exists():
            _add(archive, settings.home / CONFIGURATION, CONFIGURATION, digests)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        index = {"format": FORMAT, "release": __version__, "at": at, "database": has_database, "sha256": digests}
        encoded = json.dumps(index, indent=1).encode()
        archive.addfile(_member(INDEX, len(encoded)), io.BytesIO(encoded))
    return index


def _add_database(archive: tarfile.TarFile, settings: Settings, digests: dict[str, str]) -> bool:
    """Add a SQLite database as it is at one moment; False for one that is somewhere else, and has its own backup."""
    from ..database.engine import parse_url

    url = parse_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return False
    with tempfile.TemporaryDirectory(dir=settings.home, prefix=".backup-") as directory:
        copy = Path(directory) / DATABASE
        source = f"{Path(url.database or '').absolute().as_uri()}?mode=rw"  # never an empty one where there is none
        with closing(sqlite3.connect(source, uri=True)) as live, closing(sqlite3.connect(copy)) as target:
            live.backup(target)
        _add(archive, copy, DATABASE, digests)
    return True


def _add_folder(archive: tarfile.TarFile, folder: Path, name: str, digests: dict[str, str]) -> None:
    before = _stamps(folder)
    for inside in before:
        _add(archive, folder / inside, f"{name}/{inside}", digests)
    if _stamps(folder) != before:
        # Else a choice of versions could be in the backup without the version that was chosen.
        raise HomeError(f"{folder} changed while it was copied: run it again when nobody packs or promotes")


def _stamps(folder: Path) -> Stamps:
    """The plain files of ``folder``; what is staged, locked or half removed has a name that begins with a dot."""
    found: Stamps = {}
    for directory, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".") or each == ".cards"]
        for place in (Path(directory) / each for each in files if not each.startswith(".")):
            if not place.is_symlink():
                status = place.stat()
                found[place.relative_to(folder).as_posix()] = (status.st_mtime_ns, status.st_ino, status.st_size)
    return dict(sorted(found.items()))


def _add(archive: tarfile.TarFile, path: Path, name: str, digests: dict[str, str]) -> None:
    with path.open("rb") as file:
        content = Hashed(file)
        archive.addfile(_member(name, os.fstat(file.fileno()).st_size), content)
    digests[name] = content.digest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member
