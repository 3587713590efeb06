"""The table of docs/reliability.md: what each fault did to a real server under load, as the tests measured it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- figures: written by make faults -->", "<!-- end of figures -->"
_HEAD = "| fault | must hold | load | measured | by |\n| --- | --- | --- | --- | --- |\n"


class Row(NamedTuple):
    """One row; ``file`` is the test file that measured it, by its name."""

    fault: str
    must_hold: str
    load: str
    result: str
    file: str


class Figures:
    """What one test adds its rows to."""

    def __init__(self, file: str) -> None:
        self._rows: list[tuple[Row, bool | None]] = []
        self._file = file

    def add(self, fault: str, load: str, result: str, *, must_hold: str, held: bool | None = None) -> None:
        """One row: what was done to the server, what it had to do meanwhile, what came of it, and what had to.

        ``held`` says whether it did, in a test of several rows; otherwise the row is as good as its test.
        """
        self._rows.append((Row(fault, must_hold, load, result, self._file), held))

    def rows(self, *, passed: bool) -> list[Row]:
        """The rows of a test that has ``passed`` or not; those of what did not hold say so."""
        return [
            row if (passed if held is None else held) else row._replace(result=f"**did not hold:** {row.result}")
            for row, held in self._rows
        ]


def write_rows(page: Path, rows: Sequence[Row]) -> None:
    """Put ``rows`` into the table of ``page``, in place of those that the same files measured before.

    Raises ValueError for a page without the marks that the table stands between.
    """
    page.write_text(with_rows(page.read_text("utf-8"), rows, _circumstances()), "utf-8")


def with_rows(text: str, rows: Sequence[Row], circumstances: str) -> str:
    """``text`` with ``rows`` in its table; the rows of other files stay as they are, and files stand in order."""
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the table stands between {BEGIN} and {END}")
    anew = {row.file for row in rows}
    kept = [row for line in old.splitlines() if (row := _row(line)) is not None and row.file not in anew]
    lines = [_line(row) for row in sorted([*kept, *rows], key=lambda row: row.file)]
    return f"{before}{BEGIN}\n{circumstances}\n\n{_HEAD}{''.join(lines)}{END}{after}"


def _line(row: Row) -> str:
    cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row[:-1])
    return f"| {' | '.join(cells)} | `{row.file}` |\n"


def _row(line: str) -> Row | None:
    cells = line.replace("\\|", "\0").strip("| ").split(" | ")
    if len(cells) != len(Row._fields) or not cells[-1].startswith("`"):
        return None
    fault, must_hold, load, result, file = (cell.replace("\0", "|") for cell in cells)
    return Row(fault, must_hold, load, result, file.strip("`"))


def _circumstances() -> str:
    cpus = len(os.sched_getaffinity(0))
    today = datetime.now(UTC).date().isoformat()
    return f"Last written {today}, with Python {platform.python_version()} on {cpus} CPUs."
