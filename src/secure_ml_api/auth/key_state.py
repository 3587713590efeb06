"""What the state file says of the keys that sign tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from jwt import PyJWK, PyJWTError

from ..errors import KeyFileError
from . import key_files, key_material

Status = Literal["next", "active", "retiring"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the state file lists it; times are seconds since the epoch. Only retiring keys have an end."""

    kid: str
    alg: str
    status: Status
    created: int
    retire_after: int | None
    jwk: dict[str, str]

    def published(self) -> dict[str, str]:
        """The public JWK of RFC 7517."""
        return {**self.jwk, "kid": self.kid, "alg": self.alg, "use": "sig"}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The active key with its private half."""

    kid: str
    alg: str
    jwk: PyJWK


def read_keys(path: Path) -> Sequence[Key]:
    """The keys that the state file at ``path`` lists; raises KeyFileError."""
    content = key_files.read_private(path)
    try:
        return [Key(**entry) for entry in json.loads(content)["keys"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeyFileError(f"{path} is damaged: restore it from a backup") from error


def write_keys(path: Path, keys: Iterable[Key]) -> None:
    """Make the state file at ``path`` list ``keys``, at once or not at all; raises KeyFileError."""
    key_files.write_private(path, json.dumps({"keys": [asdict(key) for key in keys]}, indent=2).encode())


def verifying_keys(keys: Iterable[Key]) -> dict[str, PyJWK]:
    """The public keys by ``kid``, each bound to its algorithm; raises KeyFileError."""
    try:
        return {
            key.kid: key_material.verifying_jwk(key.jwk, key.alg) for key in keys if key.alg in key_material.ALGORITHMS
        }
    except PyJWTError as error:
        raise KeyFileError("a public key in the state of the keys is damaged: restore it from a backup") from error


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What changes whenever the file at ``path`` is replaced: cheap to ask every second."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)
