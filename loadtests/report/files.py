"""Writes the report's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..record import Record
from ..thresholds import Thresholds
from .knee_plot import knee_plot
from .page import page
from .time_plot import time_plot


def write_report(record: Record, thresholds: Thresholds, broken: Sequence[str], directory: Path) -> None:
    """Write ``loadtest.html``, its pictures as ``loadtest-….svg``, and all figures as ``loadtest.json``.

    A picture of an earlier run that this one has nothing to draw for is removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    record.write(directory / "loadtest.json")
    (directory / "loadtest.html").write_text(page(record, thresholds, broken), "utf-8")
    pictures = {"knee": knee_plot(record.points()) if record.shape == "steps" else "", "time": time_plot(record)}
    for name, picture in pictures.items():
        path = directory / f"loadtest-{name}.svg"
        if picture:
            path.write_text(picture, "utf-8")
        else:
            path.unlink(missing_ok=True)
