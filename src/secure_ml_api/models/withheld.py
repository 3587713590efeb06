"""Canaries that broke a bound of theirs where the models folder cannot be written, and so cannot be taken back there.

A file of the home, and not of ``run/``, which a start wipes; what is decided about the model anew ends it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ..errors import OperatorError
from ..settings import Settings
from .alone import alone
from .names import LIFE_FILE
from .small_file import read_small, write_small
from .store import Store

log = logging.getLogger(__name__)

_PRIVATE = 0o600


class Withheld:
    """Those of one home; each is known by the time at which it was decided, so that a later decision is not meant."""

    def __init__(self, models_directory: Path, home: Path) -> None:
        self._models_directory = models_directory
        self._path = home / "withheld.json"

    @classmethod
    def of(cls, settings: Settings) -> Withheld:
        return cls(settings.models_directory, settings.home)

    def take_canary_back(self, store: Store, name: str, trial: str) -> bool:
        """Let ``name`` have no canary, also where its folder cannot be written, if it is on ``trial``.

        True for one of the workers that find it so, and for one only. Raises OSError when the home cannot be written
        either.
        """
        try:
            return store.end_trial(name, trial)
        except (OSError, OperatorError) as error:
            is_ours = self.add(name)
            if is_ours:
                log.warning("a canary is withheld, and not taken back in its folder: %s", error, extra={"model": name})
            return is_ours

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
