"""Canaries that broke a bound of theirs where the models folder cannot be written, and so cannot be taken back there.

A file of the home, and not of ``run/``, which a start wipes; what is decided about the model anew ends it.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..settings import Settings
from .alone import alone
from .names import LIFE_FILE
from .small_file import read_small, write_small

_PRIVATE = 0o600


class Withheld:
    """Those of one home; each is known by the time at which it was decided, so that a later decision is not meant."""

    def __init__(self, models_directory: Path, home: Path) -> None:
        self._models_directory = models_directory
        self._path = home / "withheld.json"

    @classmethod
    def of(cls, settings: Settings) -> Withheld:
        return cls(settings.models_directory, settings.home)

    def add(self, name: str) -> bool:
        """From now on ``name`` has no canary, whatever its life says; False when it had none already.

        Raises OSError.
        """
        with alone(self._path.parent):
            if self.has(name):
                return False
            told = {**self._told(), name: self._decided_at(name)}
            write_small(self._path, json.dumps(told).encode(), _PRIVATE)
            return True

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
