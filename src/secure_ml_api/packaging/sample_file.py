"""Samples as users bring them: CSV with a header row, Parquet, or a NumPy array of images."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from ..errors import PackingError
from .table import Array, Table

SAMPLE_LIMIT_BYTES = 512 * 1024 * 1024

_NPY_MAGIC = b"\x93NUMPY"
_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_TRUTH = {"true": 1.0, "false": 0.0}


def read_sample_file(path: Path, *, text: Collection[str] = ()) -> Table:
    """The table in ``path``; columns in ``text`` are text even when all their values look like numbers.

    Raises PackingError when the file cannot be read, has no rows or repeats a column.
    """
    try:
        if path.stat().st_size > SAMPLE_LIMIT_BYTES:
            raise PackingError(f"{path} is larger than {SAMPLE_LIMIT_BYTES} bytes; a few thousand rows are enough")
        with path.open("rb") as file:
            magic = file.read(len(_NPY_MAGIC))
        if magic == _NPY_MAGIC:
            table = _read_npy(path)
        else:
            table = _read_parquet(path, text) if magic.startswith(b"PAR1") else _read_csv(path, text)
    except OSError as error:
        raise PackingError(f"the sample {path} cannot be read: {error.strerror}") from None
    if not table.columns or table.rows == 0:
        raise PackingError(f"the sample {path} has no rows; give it a header row and at least one row of features")
    return table


def _read_csv(path: Path, text: Collection[str]) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PackingError(f"the sample {path} is neither CSV in UTF-8 nor Parquet: {error}") from None
    _refuse_repeats(path, names)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            cells = f"{len(row)} cells in row {number}, and {len(names)} in its header"
            raise PackingError(f"the sample {path} has {cells}")
    by_column = zip(*rows, strict=True) if rows else ((),) * len(names)
    # An empty cell is a missing one, as pandas reads it, and as the model was trained on it.
    columns = {name: [cell or None for cell in cells] for name, cells in zip(names, by_column, strict=True)}
    return _table(columns, text)


def _read_npy(path: Path) -> Table:
    try:
        images = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise PackingError(f"the sample {path} is no readable NumPy array: {error}") from None
    return Table.of_images(images)


def _read_parquet(path: Path, text: Collection[str]) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PackingError("a Parquet sample needs pyarrow; run `pip install 'secure-ml-api[train]'`") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise PackingError(f"the sample {path} is not readable Parquet: {error}") from None
    _refuse_repeats(path, table.column_names)
    columns = {}
    for name in table.column_names:
        values = table.column(name).to_pylist()
        columns[name] = [None if _is_missing(value) else str(value) for value in values]
    return _table(columns, text)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _table(cells: Mapping[str, list[str | None]], text: Collection[str]) -> Table:
    columns = {name: _column(values, name in text) for name, values in cells.items()}
    numbers = [name for name, values in columns.items() if values.dtype != np.object_]
    truths = {name for name in numbers if any(_word(cell) in _TRUTH for cell in cells[name])}
    return Table(columns, truths=frozenset(truths))


def _column(cells: list[str | None], is_text: bool) -> Array:
    """Numbers when every cell is one or is missing, text otherwise."""
    if not is_text:
        try:
            return np.array([_number(cell) for cell in cells], dtype=np.float64)
        except ValueError:
            pass
    column = np.empty(len(cells), dtype=np.object_)
    column[:] = cells
    return column


def _number(cell: str | None) -> float:
    word = _word(cell)
    if word in _MISSING:
        return float("nan")
    return _TRUTH[word] if word in _TRUTH else float(word)


def _word(cell: str | None) -> str:
    return "" if cell is None else cell.strip().lower()


def first_text(cells: Array) -> str:
    """Which of ``cells``, of a column of text, is the first that is no number, for a message."""
    for row, cell in enumerate(cells.tolist(), start=1):
        try:
            _number(cell)
        except ValueError:
            return f"{cell[:40]!r} in row {row} of the data"
    row, cell = next(((row, cell) for row, cell in enumerate(cells.tolist(), start=1) if cell), (1, ""))
    return f"{cell[:40]!r} in row {row} of the data"


def _refuse_repeats(path: Path, names: list[str]) -> None:
    if not names:
        raise PackingError(f"the sample {path} has no header row; its first row must be the feature names")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise PackingError(f"the sample {path} has several columns named {repeated[0]!r}")
