"""From a directory to proof: read a package once, check it, and hand out exactly the bytes that were checked."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ..errors import PackageRefused
from ..runtimes.protocol import VerifiedArtifact
from .manifest import FileRecord, Manifest, parse_manifest
from .memory import use_large_pages
from .names import MANIFEST_FILE, SIGNATURE_FILE, is_plain
from .signing import check_signature

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024
# A protobuf message, and so an ONNX model, cannot be larger than 2 GiB.
FILE_LIMIT_BYTES = 2 * 1024 * 1024 * 1024
_ED25519_SIGNATURE_BYTES = 64
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """A manifest whose signature holds, and the bytes that it vouches for."""

    manifest: Manifest
    artifact: VerifiedArtifact


def verify_package(models_directory: Path, name: str, version: str, key: Ed25519PublicKey) -> VerifiedPackage:
    """Read and check ``models_directory/name/version``; raises PackageRefused with one line on anything amiss.

    Nothing is parsed before the signature over it holds. Every file is opened once, without following links, relative
    to the open directory, and must be a regular file with one link, of the size and digest that the manifest says;
    a file that the manifest does not list is refused too.
    """
    where = f"{name}/{version}"
    try:
        return _verified(models_directory, name, version, key)
    except PackageRefused as refused:
        raise PackageRefused(f"{where}: {refused}") from None
    except OSError as error:
        raise PackageRefused(f"{where}: cannot be read ({error.strerror})") from None


def stamp_package(models_directory: Path, name: str, version: str) -> object:
    """Another value whenever a file of the version came, went or was touched; None when there is no telling."""
    try:
        directory = _open_directory(models_directory, name, version)
    except (PackageRefused, OSError):
        return None
    try:
        with os.scandir(directory) as entries:
            return tuple(sorted(_touched(entry) for entry in entries))
    except OSError:
        return None
    finally:
        os.close(directory)


def _touched(entry: os.DirEntry[str]) -> tuple[str, int, int, int, int, int]:
    status = entry.stat(follow_symlinks=False)
    return entry.name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _verified(models_directory: Path, name: str, version: str, key: Ed25519PublicKey) -> VerifiedPackage:
    if not (is_plain(name) and is_plain(version)):
        raise PackageRefused("the name or version is not one that a package can have")
    directory = _open_directory(models_directory, name, version)
    try:
        manifest_bytes = read_regular(directory, MANIFEST_FILE, MANIFEST_LIMIT_BYTES)
        check_signature(key, manifest_bytes, read_regular(directory, SIGNATURE_FILE, _ED25519_SIGNATURE_BYTES))
        manifest = parse_manifest(manifest_bytes)
        if (manifest.name, manifest.version) != (name, version):
            raise PackageRefused(f"the package inside is {manifest.name}/{manifest.version}; it was moved or swapped")
        _refuse_extra_files(directory, manifest)
        files = {file: _read_recorded(directory, file, record) for file, record in manifest.files.items()}
    finally:
        os.close(directory)
    digest = f"sha256:{hashlib.sha256(manifest_bytes).hexdigest()}"
    return VerifiedPackage(manifest, VerifiedArtifact(name, version, manifest.signature, files, digest))


def _open_directory(models_directory: Path, name: str, version: str) -> int:
    """A descriptor of the version's directory, reached without following a link below ``models_directory``."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(models_directory, flags)
    for part in (name, version):
        parent = descriptor
        try:
            descriptor = os.open(part, flags | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            raise PackageRefused("there is no such package") from None
        except OSError:
            raise PackageRefused(f"{part} is not a directory of its own; links are refused") from None
        finally:
            os.close(parent)
    return descriptor


def _refuse_extra_files(directory: int, manifest: Manifest) -> None:
    extra = set(os.listdir(directory)) - set(manifest.files) - {MANIFEST_FILE, SIGNATURE_FILE}
    if extra:
        raise PackageRefused(f"{min(extra)!r} is not in the manifest; remove it")


def _read_recorded(directory: int, file: str, record: FileRecord) -> bytes:
    if record.size > FILE_LIMIT_BYTES:
        raise PackageRefused(f"{file} is larger than {FILE_LIMIT_BYTES} bytes")
    data = read_regular(directory, file, record.size)
    if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
        raise PackageRefused(f"{file} is not the file that was signed; restore it or pack the model again")
    return data


def read_regular(directory: int, file: str, limit_bytes: int) -> bytes:
    """The bytes of ``file`` in the open ``directory``, read once, at most one byte more than the limit.

    Raises PackageRefused unless it is a regular file with one link; never follows a link or blocks on a pipe.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise PackageRefused(f"{file} is missing") from None
    except OSError as error:
        raise PackageRefused(f"{file} cannot be opened ({error.strerror}); links are refused") from None
    try:
        _require_own_file(file, os.fstat(descriptor), limit_bytes)
        with BufferedReader(_Pieces(descriptor, closefd=False)) as opened:
            return opened.read(limit_bytes + 1)
    finally:
        os.close(descriptor)


class _Pieces(FileIO):
    """A file of which no call reads more than a piece.

    Linux without preemption copies tens of MiB in one go, and until it has done so, 43 ms, nobody else has the CPU.
    """

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        memory = memoryview(buffer)
        if self.tell() == 0:  # the first call is given all that is to be filled
            use_large_pages(memory)
        return super().readinto(memory[:_PIECE_BYTES])


def _require_own_file(file: str, status: os.stat_result, limit_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PackageRefused(f"{file} is not a regular file")
    if status.st_nlink != 1:
        raise PackageRefused(f"{file} has more than one link; another name could change it")
    if status.st_size > limit_bytes:
        raise PackageRefused(f"{file} is larger than the {limit_bytes} bytes that it may have")
