"""CSV batches (RFC 4180, UTF-8, a header row with the features' names in any order) in, predictions as CSV out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from ..errors import MalformedBody, Misfit, SignatureMismatch
from ..tensors import Column, Signature, Tensors
from .answer_table import Columns
from .csv_records import records
from .number_text import read_numbers
from .quick_rows import fitted
from .row_reader import row_reader
from .tensor_inputs import check_row_count

# Numbers are written as JSON has them.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")
_BLANKS = " \t"
# What a body may have beside the cells of the most rows: empty lines, and rows of too many cells that are told of.
_SPARE_CELLS = 65_536
_TRUTH = {"true": True, "false": False}
_SPECIAL = re.compile(r'[",\r\n]')


def read_csv(body: bytes, signature: Signature, max_rows: int) -> tuple[Tensors, int]:
    """The tensors of the rows and their number; raises MalformedBody, or SignatureMismatch with row and feature."""
    matrix = quick_csv(body, signature, max_rows)
    return ({"input": matrix}, len(matrix)) if matrix is not None else read_cells(body, signature, max_rows)


def quick_csv(body: bytes, signature: Signature, max_rows: int) -> np.ndarray[Any, Any] | None:
    """[rows, columns] of a body with nothing but numbers in it; None when ``read_cells`` must judge."""
    head, _, rest = body.partition(b"\n")
    if not signature.is_matrix or b'"' in body or b"[" in rest or b"]" in rest:
        return None
    width = len(signature.columns)
    if head.count(b",") >= width or rest.count(b"\n") > max_rows or rest.count(b",") > max_rows * width:
        return None
    try:
        names = head.removesuffix(b"\r").decode("utf-8-sig").split(",")
    except UnicodeDecodeError:
        return None
    if len(names) != width or set(names) != set(signature.column_names):
        return None
    lines = rest.replace(b"\r\n", b"\n").removesuffix(b"\n")
    # Lines of numbers are rows of JSON but for the brackets.
    text = b"[[" + lines.replace(b"\n", b"],[") + b"]]"
    numbers = None if b"\r" in lines else read_numbers(text, signature.columns[0].datatype, width)
    if numbers is None or len(numbers) > max_rows:
        return None
    order = [names.index(name) for name in signature.column_names]
    return None if numbers.ndim == 1 else fitted(numbers[:, order], signature)


def read_cells(body: bytes, signature: Signature, max_rows: int) -> tuple[Tensors, int]:
    """As ``read_csv``, cell by cell; an empty cell is a missing value, or an empty text. Raises BodyTooLarge too."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8 (byte {error.start})") from None
    lines = records(text, (max_rows + 1) * len(signature.columns) + _SPARE_CELLS)
    rows: list[Any] = []
    order = _order(next(lines, []), signature)
    parsers = [(at, _parser(column)) for at, column in zip(order, signature.columns, strict=True)]
    for cells in lines:
        if not cells:
            continue
        if len(rows) == max_rows:
            raise SignatureMismatch(f"a request may have {max_rows} rows; this one has more")
        rows.append([parse(cells[at]) for at, parse in parsers] if len(cells) == len(parsers) else cells)
    check_row_count(len(rows), max_rows)
    return row_reader(signature).read(rows), len(rows)


def write_csv(columns: Columns) -> bytes:
    """``columns`` as CSV with a header row; a value that is no number is left empty."""
    cells = [_column_text(values) for _, values in columns]
    head = b",".join(_quoted(name) for name, _ in columns)
    return b"\r\n".join([head, *map(b",".join, zip(*cells, strict=True)), b""])


def _order(header: list[str], signature: Signature) -> list[int]:
    """Where each column of the model stands in the rows; raises SignatureMismatch."""
    names = signature.column_names
    misfits = [Misfit("this feature is missing", feature=name) for name in names if name not in header]
    misfits += [Misfit("named twice in the header", feature=name) for name in names if header.count(name) > 1]
    if not set(header) <= set(names):
        misfits.append(Misfit("the header names a feature that the model does not have"))
    if misfits:
        raise SignatureMismatch("the first line of CSV names each of the model's features once", misfits)
    return [header.index(name) for name in names]


def _parser(column: Column) -> Callable[[str], Any]:
    """Reads one cell; what it cannot read is left as text, which the column's type then refuses."""
    if column.is_text:
        return str
    if column.datatype == "BOOL":
        return lambda cell: _TRUTH.get(cell.strip(_BLANKS).lower(), cell)
    pattern, kind = (_NUMBER, _float) if column.datatype.startswith("FP") else (_INTEGER, int)

    def parse(cell: str) -> Any:
        trimmed = cell.strip(_BLANKS)
        if not trimmed:
            return None
        return kind(trimmed) if pattern.fullmatch(trimmed) else cell

    return parse


def _float(text: str) -> float:
    """As JSON has it, where "-0" is the integer 0."""
    return 0.0 if text == "-0" else float(text)


def _column_text(values: np.ndarray[Any, Any] | list[str]) -> list[bytes]:
    if isinstance(values, list):
        quoted = {word: _quoted(word) for word in set(values)}
        return [quoted[word] for word in values]
    numbers = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return [b"" if number == b"null" else number for number in numbers[1:-1].split(b",")]


def _quoted(text: str) -> bytes:
    return ('"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text).encode()
