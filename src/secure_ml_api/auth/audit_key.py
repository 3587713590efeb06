"""The key of the audit trail's chain: 256 random bits in ``keys/audit.key``, for its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..errors import KeyFileError
from . import key_files

_FILE = "audit.key"
_BYTES = 32


def create_audit_key(directory: Path) -> bool:
    """Make the key in ``directory`` unless there is one; True when it was made. Raises KeyFileError."""
    key_files.make_directory(directory)
    path = directory / _FILE
    with key_files.locked(directory):
        if path.exists() or path.is_symlink():
            return False
        key_files.write_private(path, secrets.token_hex(_BYTES).encode() + b"\n")
    return True


def read_audit_key(directory: Path) -> bytes:
    """The key in ``directory``; raises KeyFileError when it is missing, damaged, or open to others."""
    path = directory / _FILE
    if directory.is_dir() and not os.path.lexists(path):  # `init` would make another, and hide that one is lost
        raise KeyFileError(
            f"{path} is missing: restore it from a backup; only if there is none, run `secure-ml-api init` with the"
            " same --home, and no line written before can be verified from then on"
        )
    try:
        key = bytes.fromhex(key_files.read_private(path).decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise KeyFileError(f"{path} is damaged: restore it from a backup, as the trail can be verified with no other")
    return key
