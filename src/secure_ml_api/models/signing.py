"""The Ed25519 key pair that signs model packages, and the detached signature over a manifest's exact bytes."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from shlex import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import KeyFileError, PackageRefused

PRIVATE_KEY_FILE = "model-signing.pem"
PUBLIC_KEY_FILE = "model-signing.pub.pem"

# Keeps a signature made here from being valid for anything else that the same key might ever sign.
_DOMAIN = b"secure-ml-api model manifest v1\x00"
CARD_DOMAIN = b"secure-ml-api model card v1\x00"
_KEY_LIMIT_BYTES = 16 * 1024


def create_signing_key(keys_directory: Path) -> bool:
    """Make the key pair unless one is there; True when it was made.

    Never overwrites: a public key without its private key means that packages signed by the lost key are trusted, and
    is refused with KeyFileError.
    """
    private, public = keys_directory / PRIVATE_KEY_FILE, keys_directory / PUBLIC_KEY_FILE
    if private.exists() or private.is_symlink():
        key = read_signing_key(keys_directory)
        _write_new(public, _public_pem(key), 0o644)
        return False
    if public.exists() or public.is_symlink():
        raise KeyFileError(f"{public} has no {PRIVATE_KEY_FILE} beside it; restore that, or remove it and pack again")
    key = Ed25519PrivateKey.generate()
    no_password = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    made = _write_new(private, pem, 0o600)
    _write_new(public, _public_pem(read_signing_key(keys_directory)), 0o644)
    return made


def read_signing_key(keys_directory: Path) -> Ed25519PrivateKey:
    """The private key; raises KeyFileError when it is missing, not a key, or readable or writable by others."""
    path = keys_directory / PRIVATE_KEY_FILE
    pem = _read_guarded(path, forbidden_mode=0o077, remedy_mode="600")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise KeyFileError(f"{path} is not an unencrypted PEM private key; restore it from a backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is not an Ed25519 key; restore it from a backup")
    return key


def read_verifying_key(keys_directory: Path) -> Ed25519PublicKey:
    """The public key that packages must be signed by; raises KeyFileError when missing or writable by others."""
    path = keys_directory / PUBLIC_KEY_FILE
    pem = _read_guarded(path, forbidden_mode=0o022, remedy_mode="644")
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        raise KeyFileError(f"{path} is not a PEM public key; restore it from a backup") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} is not an Ed25519 key; restore it from a backup")
    return key


def sign(key: Ed25519PrivateKey, data: bytes, domain: bytes = _DOMAIN) -> bytes:
    """The detached signature of ``data``, by default a manifest: 64 bytes."""
    return key.sign(domain + data)


def check_signature(
    key: Ed25519PublicKey, data: bytes, signature: bytes, domain: bytes = _DOMAIN, what: str = "manifest.json"
) -> None:
    """Raises PackageRefused unless ``signature`` was made over exactly ``data`` by the key's other half."""
    try:
        key.verify(signature, domain + data)
    except InvalidSignature:
        raise PackageRefused(f"the signature of {what} does not hold: altered, or of another key") from None


def _public_pem(key: Ed25519PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def _write_new(path: Path, data: bytes, mode: int) -> bool:
    """Create ``path`` whole or not at all; False when it exists already."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, staged = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, fails when the name is taken, so two processes cannot both make the key.
        os.link(staged, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise KeyFileError(f"{path} cannot be made: {error.strerror}") from None
    finally:
        Path(staged).unlink()
    return True


def _read_guarded(path: Path, *, forbidden_mode: int, remedy_mode: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing; run `secure-ml-api init`, or restore it from a backup") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be opened ({error.strerror}); it must be a regular file of yours") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is not a regular file; restore it from a backup")
        if status.st_mode & forbidden_mode:
            raise KeyFileError(f"{path} is open to others; run `chmod {remedy_mode} {quote(str(path))}`")
        return os.read(descriptor, _KEY_LIMIT_BYTES)
    finally:
        os.close(descriptor)
