"""Writes the report's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..record import Record
from ..thresholds import Thresholds


def write_report(record: Record, thresholds: Thresholds, broken: Sequence[str], directory: Path) -> None:
    record.write(directory / "loadtest.json")
