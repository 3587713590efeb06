"""Lines of the trail in files: one JSON object a line, the first of which says behind which line they come."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import HomeError
from .chain import Entry, Line, Mark

_FORMAT = "secure-ml-api audit trail v1"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written: behind which line it begins, its last line, and its SHA-256."""

    path: Path
    after: Mark
    last: Mark
    sha256: str

    @property
    def count(self) -> int:
        return self.last.id - self.after.id


def write_lines(path: Path, after: Mark, lines: Iterable[Line]) -> ExportedFile:
    """Write ``lines``, which come behind ``after``, to ``path``: whole and on the disk, or not at all.

    Raises HomeError, and what ``lines`` raises.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    digest, last = hashlib.sha256(), after
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:

            def write(content: dict[str, Any]) -> None:
                encoded = json.dumps(content, ensure_ascii=True).encode("ascii") + b"\n"
                digest.update(encoded)
                file.write(encoded)

            write({"format": _FORMAT, "after": after.id, "hash": after.hash})
            for line in lines:
                write({"id": line.id, **asdict(line.entry), "hash": line.hash})
                last = Mark(line.id, line.hash)
            file.flush()
            os.fsync(descriptor)
        staged.replace(path)
    except OSError as error:
        raise HomeError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
    return ExportedFile(path, after, last, digest.hexdigest())


def read_start(path: Path) -> Mark:
    """Behind which line the lines of ``path`` come; raises HomeError."""
    first = next(_read(path), {})
    after, hash_ = first.get("after"), first.get("hash")
    if first.get("format") != _FORMAT or not isinstance(after, int) or not isinstance(hash_, str):
        raise HomeError(f"{path} is no file of the audit trail: its first line does not say so")
    return Mark(after, hash_)


def lines_of(path: Path) -> Iterator[Line]:
    """The lines in ``path``, unchecked; raises HomeError for what is no line."""
    contents = _read(path)
    next(contents, None)
    for values in contents:
        try:
            number, stored, entry = values.pop("id"), values.pop("hash"), Entry(**values)
        except (KeyError, TypeError):
            number, stored, entry = None, None, None
        if entry is None or not isinstance(entry.details, dict) or not isinstance(number, int):
            raise HomeError(f"{path} holds something that is no line of the audit trail")
        yield Line(number, entry, str(stored))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                values = json.loads(text)
                if not isinstance(values, dict):
                    raise HomeError(f"{path}: line {number} is no JSON object")
                yield values
    except OSError as error:
        raise HomeError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise HomeError(f"{path} is not whole: it holds a line that is no JSON") from error
