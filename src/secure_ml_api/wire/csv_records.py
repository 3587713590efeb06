"""The records of a CSV body (RFC 4180), refused before they are more cells than any body that is good.

A megabyte of delimiters is a kilobyte of gzip and a million cells: they are counted before the parser makes any cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from ..errors import BodyTooLarge, MalformedBody

# A quoted field, closed or not, which begins a line or follows a delimiter; or a delimiter.
_QUOTED_OR_DELIMITER = re.compile(r'(?:(?<![^,\r\n])"(?:[^"]++|"")*+"?)|,')


def records(text: str, most_cells: int) -> Iterator[list[str]]:
    """Each record's cells, an empty list for an empty line, which counts as one cell.

    Raises MalformedBody, or BodyTooLarge for more than ``most_cells`` in all, before many more than those are made.
    """
    lines = _Lines(text, most_cells)
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            lines.record_ended(len(cells))
            yield cells
    except csv.Error:
        raise MalformedBody(f"the body is not CSV (line {reader.line_num})") from None


class _Lines:
    """The lines of ``text``, for as long as what is left of ``most_cells`` suffices."""

    def __init__(self, text: str, most_cells: int) -> None:
        self._lines = io.StringIO(text, newline="")
        self._most_cells = self._left = most_cells
        self._characters = self._delimiters = 0  # of the current record; delimiters, since they were worth counting

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        is_quoted = self._characters > 0  # a record goes on in the next line inside a quoted field alone
        self._characters += len(line)
        if self._characters > self._left:  # so few characters as are left cannot be more cells
            self._count(line, is_quoted)
        return line

    def record_ended(self, cells: int) -> None:
        self._left -= cells or 1
        self._characters = self._delimiters = 0
        if self._left < 0:
            raise self._refusal()

    def _count(self, line: str, is_quoted: bool) -> None:
        for match in _QUOTED_OR_DELIMITER.finditer('"' + line if is_quoted else line):
            self._delimiters += match[0] == ","
            if self._delimiters > self._left:
                raise self._refusal()

    def _refusal(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body has more than {self._most_cells} cells and empty lines")
