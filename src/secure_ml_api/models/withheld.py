"""Canaries that broke a bound of theirs where the models folder cannot be written, and so cannot be taken back there.

A file under ``run/``, which a reload and a restart read again; what is decided about the model anew ends it.
"""

from __future__ import annotations

import json
from pathlib import Path

from .names import LIFE_FILE
from .small_file import read_small, write_small

_PRIVATE = 0o600


class Withheld:
    """Those of one home; each is known by the time at which it was decided, so that a later decision is not meant."""

    def __init__(self, models_directory: Path, run_directory: Path) -> None:
        self._models_directory = models_directory
        self._path = run_directory / "models" / "withheld"

    def add(self, name: str) -> None:
        """From now on ``name`` has no canary, whatever its life says; raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {**self._told(), name: self._decided_at(name)}
        write_small(self._path, json.dumps(told).encode(), _PRIVATE)

    def has(self, name: str) -> bool:
        """Whether the canary that the life of ``name`` tells of now was taken back."""
        decided_at = self._told().get(name)
        return decided_at is not None and decided_at == self._decided_at(name)

    def _told(self) -> dict[str, object]:
        try:
            told = json.loads(read_small(self._path) or b"{}")
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def _decided_at(self, name: str) -> int | None:
        try:
            return (self._models_directory / name / LIFE_FILE).stat().st_mtime_ns
        except OSError:
            return None
