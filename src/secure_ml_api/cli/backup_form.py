"""What a backup is: a tar of plain files, and at its end an index with the digest of each."""

from __future__ import annotations

import hashlib
import io
from typing import IO

FORMAT = "secure-ml-api backup v1"
INDEX = "backup.json"
DATABASE = "data.db"
CONFIGURATION = "config.toml"
FOLDERS = (KEYS, AUDIT, MODELS) = ("keys", "audit", "models")


class Hashed(io.RawIOBase):
    """What is read from ``file``, hashed as it goes by."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()
