"""What is said about the data that a model learnt from, and what its file says itself: for people, and not proven."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from ..errors import PackingError
from ..models.manifest import TrainingData

_LONGEST = {"name": 200, "licence": 200, "description": 2000}
# More is nobody's data, and no number of JSON's that every reader knows.
_LONGEST_NUMBER = 18
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MAGIC_PARQUET, _MAGIC_NPY = b"PAR1", b"\x93NUMPY"


def training_data(about: Mapping[str, str], file: Path | None) -> TrainingData | None:
    """The data as ``about`` tells it (name, description, licence, as_of, rows), and the digest and rows of ``file``.

    Neither its name nor its place is kept. None when nothing is said. Raises PackingError.
    """
    if not about and file is None:
        return None
    for key, text in about.items():
        if key not in TrainingData.model_fields or key == "sha256":
            raise PackingError(f"nothing is kept of the data as {key!r}; say name, description, licence, as_of or rows")
        if len(text) > _LONGEST.get(key, len(text)):
            raise PackingError(f"{key} of the data is at most {_LONGEST[key]} characters long")
    told = dict(about)
    as_of, rows = told.pop("as_of", None), told.pop("rows", None)
    return TrainingData(
        **told,
        as_of=None if as_of is None else _day(as_of),
        rows=_rows_of(file) if rows is None else _whole(rows),
        sha256=None if file is None else _digest(file),
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PackingError(f"as_of of the data is a day such as 2026-05-31, and not {text!r}") from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise PackingError(f"rows of the data is a whole number, and not {text!r}")
    if len(text) > _LONGEST_NUMBER:
        raise PackingError(f"rows of the data is a whole number of at most {_LONGEST_NUMBER} digits")
    return int(text)


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise PackingError(f"the data {file} cannot be read: {error.strerror}") from None


def _rows_of(file: Path | None) -> int | None:
    """The rows of CSV and TSV, by name, behind the header, of Parquet and of a NumPy array; None of anything else."""
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_MAGIC_NPY))
        if magic == _MAGIC_NPY:
            return int(np.load(file, mmap_mode="r", allow_pickle=False).shape[0])
        if magic.startswith(_MAGIC_PARQUET):
            import pyarrow.parquet

            return int(pyarrow.parquet.read_metadata(file).num_rows)
        separator = _SEPARATORS.get(file.suffix.lower())
        if separator is None:  # text of any other kind has lines, too, and no header
            return None
        with file.open(encoding="utf-8-sig", newline="") as text:
            return max(0, sum(1 for row in csv.reader(text, delimiter=separator, strict=True) if row) - 1)
    except (ValueError, IndexError, ImportError, csv.Error):  # of Arrow and of text that is none, too
        return None
    except OSError as error:
        raise PackingError(f"the data {file} cannot be read: {error.strerror or error}") from None
