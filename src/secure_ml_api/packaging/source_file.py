"""Files of trained models: told apart by their first bytes, and read in the converting process alone."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Literal

from ..errors import PackingError
from ..runtimes.sklearn_types import TRUSTED_TYPES
from ..runtimes.skops_files import skops_io
from .boosting import BOOSTED_TYPES, lightgbm_from, xgboost_from

SourceFormat = Literal[
    "skops", "pickle", "joblib", "xgboost", "lightgbm", "keras", "torch-export", "torch-weights", "saved-model"
]
NETWORKS: tuple[SourceFormat, ...] = ("keras", "torch-export", "torch-weights", "saved-model")

SOURCE_LIMIT_BYTES = 2 * 1024 * 1024 * 1024
# A safetensors file begins with the length of its header, which is a JSON object.
_LENGTH_BYTES = 8
_ZIP_MAGIC = b"PK\x03\x04"
_JOBLIB_ENDINGS = {".joblib", ".jl"}
# No pickle begins with either: both formats hold numbers and words alone.
_LIGHTGBM_MAGIC = b"tree"
_XGBOOST_MAGIC = b"{"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# The number that torch.save wrote first, before it wrote zips.
_OLD_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9"
_PACKED_TYPES = (*TRUSTED_TYPES, *BOOSTED_TYPES)


def format_of(path: Path, *, trust_pickle: bool) -> SourceFormat:
    """Which format ``path`` is in, from its content and not its name; nothing of it is unpickled.

    A folder is a SavedModel of TensorFlow. XGBoost's own files are JSON or UBJSON, LightGBM's are text. Raises
    PackingError when it cannot be opened, when it is HDF5 or of torch.save, and when it is none of these and
    no skops file and ``trust_pickle`` is not given.
    """
    try:
        size = sum(file.stat().st_size for file in files_of(path))
        if size > SOURCE_LIMIT_BYTES:
            raise PackingError(f"{path} is larger than {SOURCE_LIMIT_BYTES} bytes")
        known = _folder(path) if path.is_dir() else _known(path, size)
    except OSError as error:
        raise PackingError(f"{path} cannot be read: {error.strerror}") from None
    if known not in {None, "torch-export"}:
        return known
    if not trust_pickle:
        remedy = "save the model with skops.io.dump, or give --trust-pickle if the file is your own"
        raise PackingError(f"{path} is no skops file, and a pickle may run any code when it is read; {remedy}")
    return known or ("joblib" if path.suffix.lower() in _JOBLIB_ENDINGS else "pickle")


def _known(path: Path, size: int) -> SourceFormat | None:
    """By the first of its ``size`` bytes; None for what may be a pickle."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES + 1)
    if start.startswith(_HDF5_MAGIC):
        remedy = "load it with Keras and save it as model.keras"
        raise PackingError(f"{path} is an HDF5 file, which is not read here; if Keras wrote it, {remedy}")
    if start.startswith(_OLD_TORCH_MAGIC):
        raise PackingError(_saved_by_torch(path))
    if start.startswith(_ZIP_MAGIC):
        return _inside(path)
    if start[_LENGTH_BYTES:] == b"{" and int.from_bytes(start[:_LENGTH_BYTES], "little") < size:
        return "torch-weights"
    if start.startswith(_XGBOOST_MAGIC):
        return "xgboost"
    return "lightgbm" if start.startswith(_LIGHTGBM_MAGIC) else None


def files_of(source: Path) -> list[Path]:
    """The file ``source``, or those below it, in the order of their names."""
    return sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]


def digest_of(source: Path) -> str:
    """The SHA-256 of a file; of a folder, of its files' names, lengths and bytes."""
    if not source.is_dir():
        return hashlib.sha256(source.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for path in files_of(source):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _folder(path: Path) -> SourceFormat:
    if (path / "saved_model.pb").is_file():
        return "saved-model"
    raise PackingError(f"{path} is a folder, and no SavedModel of TensorFlow: it has no saved_model.pb")


def _inside(path: Path) -> SourceFormat:
    """What a zip archive is, by the names in it: skops, where it is nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "skops"  # whose reader says what is wrong
    if "model.weights.h5" in names and "config.json" in names:
        return "keras"
    if any(name.endswith("/archive_format") for name in names):
        return "torch-export"
    if any(name.endswith("/data.pkl") for name in names):
        raise PackingError(_saved_by_torch(path))
    return "skops"


def _saved_by_torch(path: Path) -> str:
    weights = "safetensors.torch.save_file(model.state_dict(), 'model.safetensors') and name its --architecture"
    remedy = f"save its weights with {weights}, or all of it with torch.export.save"
    return f"{path} was written by torch.save, a pickle; {remedy}"


def read_source(data: bytes, source_format: SourceFormat) -> Any:
    """The trained model in ``data``, no network; called in the converting process only. Raises PackingError."""
    readers = {"skops": _read_skops, "xgboost": xgboost_from, "lightgbm": lightgbm_from}
    return readers.get(source_format, _read_pickle)(data)


def _read_skops(data: bytes) -> Any:
    skops = skops_io()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > SOURCE_LIMIT_BYTES:
                raise PackingError(f"the skops file unpacks to more than {SOURCE_LIMIT_BYTES} bytes")
        unknown = sorted(set(skops.get_untrusted_types(data=data)) - set(_PACKED_TYPES))
        if not unknown:
            return skops.loads(data, trusted=list(_PACKED_TYPES))
    except PackingError:
        raise
    except Exception as error:
        raise PackingError(f"the file is no readable skops file ({type(error).__name__}); save it again") from error
    named = ", ".join(unknown[:5])
    remedy = "build the model from the parts of scikit-learn, XGBoost or LightGBM, or save only the fitted pipeline"
    raise PackingError(f"the skops file holds types that are not trusted here: {named}; {remedy}")


def _read_pickle(data: bytes) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(data))
    except Exception as error:
        cause = " ".join(str(error).split())[:200]
        raise PackingError(f"the pickle cannot be read: {type(error).__name__}: {cause}") from error
