"""Rows with their true answers as arrays: a ``.npz`` archive with one for each input of a model, and one of answers.

Nothing of a file is believed. No pickle is read. Only the arrays that are asked for are decompressed, after their
headers have said what they hold, and no more than that: what an archive would grow to is bounded before it does.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import PackingError
from ..tensors import NUMPY_DTYPES, Signature, Tensors, TensorSpec
from .table import Array, listed

ARRAYS_LIMIT_BYTES = 512 * 1024 * 1024

_ZIP_MAGIC = b"PK\x03\x04"
# Those that NumPy writes; others may need much memory for little.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True)
class Arrays:
    """``arrays``: name → numbers, truths or text, [rows, …], as many of each; ``names`` are all that the file has."""

    arrays: Mapping[str, Array]
    names: tuple[str, ...]

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))

    def tensors(self, signature: Signature) -> Tensors:
        """The input tensors of ``signature``, from arrays of its inputs' names as callers send them.

        Raises PackingError, with the array's name, for one that is missing or does not fit.
        """
        return {
            sent.name: _fitted(self._named(sent.name, _wanted(signature)), sent).reshape(-1, *spec.shape[1:])
            for sent, spec in zip(signature.sent_inputs, signature.inputs, strict=True)
        }

    def answers(self, target: str) -> Array:
        """The true answers: float64 [rows], or object [rows] of ``str``; raises PackingError for what is no such."""
        array = self._named(target, "the true answers are [rows]")
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            remedy = f"np.argmax({target}, axis=1) makes class numbers of one column for each class"
            raise PackingError(f"the array {target!r} is {_said(array)}, and true answers are [rows]; {remedy}")
        return array.astype(np.object_ if array.dtype.kind == "U" else np.float64)

    def _named(self, name: str, wanted: str) -> Array:
        if name not in self.arrays:
            raise PackingError(f"the data has no array {name!r}, and has {listed(self.names) or 'none'}; {wanted}")
        return self.arrays[name]


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a file that begins as ``.npz`` does; raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def read_arrays(path: Path, names: Collection[str]) -> Arrays:
    """Those of the arrays called ``names`` that the archive ``path`` has.

    Raises PackingError when it cannot be read, when they hold objects or are too large, and when they have no rows or
    not as many each.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            headers = {name: _header(archive, name, info) for name, info in members.items() if name in names}
            _bound(path, headers)
            arrays = {name: _data(archive, members[name], header) for name, header in headers.items()}
    except PackingError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and NumPy raise what they meet, and it all means this
        raise PackingError(f"{path} is no readable .npz of NumPy ({type(error).__name__}: {error})") from None
    _require_rows(arrays)
    return Arrays(arrays, tuple(members))


class _Header(NamedTuple):
    """What an array says that it holds; ``begins`` is where its numbers do in its member."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]
    begins: int

    @property
    def size(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def _header(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> _Header:
    if info.compress_type not in _METHODS:
        raise PackingError(f"the array {name!r} is compressed in a way that NumPy does not use; np.savez writes one")
    with archive.open(info) as member:
        header = _read_header(member)
    if header.dtype.hasobject:
        raise PackingError(
            f"the array {name!r} holds Python objects, which are never read; store text as {name}.astype(np.str_), "
            f"numbers as {name}.astype(np.float32) for example"
        )
    if header.dtype.kind not in "biufU":
        raise PackingError(f"the array {name!r} is {header.dtype}; give numbers, booleans or text")
    if header.begins + header.size != info.file_size or min(header.shape, default=0) < 0:
        raise PackingError(f"the array {name!r} is not as long as it says; store it again with np.savez")
    return header


def _read_header(member: IO[bytes]) -> _Header:
    read = _HEADER_READERS.get(np.lib.format.read_magic(member))
    if read is None:
        raise ValueError("an unknown version of its format")
    shape, is_fortran, dtype = read(member)
    return _Header(shape, is_fortran, dtype, member.tell())


def _bound(path: Path, headers: Mapping[str, _Header]) -> None:
    size = sum(header.size for header in headers.values())
    if size > ARRAYS_LIMIT_BYTES:
        largest = max(headers, key=lambda name: headers[name].size)
        limit = f"more than {ARRAYS_LIMIT_BYTES} bytes"
        raise PackingError(f"the arrays of {path} are {limit}, {largest!r} the largest; take fewer rows")


def _data(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: _Header) -> Array:
    with archive.open(info) as member:
        member.read(header.begins)
        data = member.read()  # no more than the size that was held against the header; its checksum is verified
    array: Array = np.frombuffer(data, header.dtype)
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")


def _require_rows(arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        if array.ndim == 0 or not array.size:
            raise PackingError(f"the array {name!r} is {_said(array)} and has no rows; its first axis is the rows")
    (first, rows), *others = [(name, len(array)) for name, array in arrays.items()] or [("", 0)]
    for name, count in others:
        if count != rows:
            raise PackingError(f"the arrays {first!r} and {name!r} have {rows} and {count} rows; give as many of both")


def _fitted(array: Array, spec: TensorSpec) -> Array:
    """``array`` in the shape and datatype of ``spec``; raises PackingError when that would change what it holds."""
    wanted, shape = NUMPY_DTYPES[spec.datatype], spec.shape[1:]
    takes = f"the model takes {_shape(shape)} {spec.datatype}"
    if array.shape[1:] != shape and not (shape == (1,) and array.ndim == 1):
        remedy = f"{spec.name}.reshape(-1, {', '.join(map(str, shape))}), if its numbers are in that order"
        if prod(array.shape[1:]) != prod(shape):
            remedy = "give rows as callers send them"
        raise PackingError(f"the array {spec.name!r} is {_said(array)}, and {takes}; {remedy}")
    is_text = array.dtype.kind == "U"
    if is_text is not (spec.datatype == "BYTES") or not (is_text or _may_become(array.dtype, wanted)):
        kind = "np.str_" if spec.datatype == "BYTES" else f"np.{wanted.name}"
        remedy = f"{spec.name}.astype({kind}), if that is what it holds"
        raise PackingError(f"the array {spec.name!r} is {_said(array)}, and {takes}; {remedy}")
    return array.astype(wanted)


def _may_become(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Without loss, or by rounding to a floating-point number, as callers' numbers are."""
    return np.can_cast(found, wanted, "safe") or wanted.kind == "f"


def _wanted(signature: Signature) -> str:
    first, *others = signature.sent_inputs
    if others:
        return f"the model takes {listed([spec.name for spec in signature.sent_inputs])}"
    return f"the model takes {first.name!r}, {_shape(first.shape[1:])} {first.datatype}"


def _said(array: Array) -> str:
    return f"{list(array.shape)} {array.dtype.name}"


def _shape(tail: tuple[int, ...]) -> str:
    return f"[{', '.join(['rows', *map(str, tail)])}]"
