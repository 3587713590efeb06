"""The commands of ``models``, run in this process: what they say, and how they exit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.cli import main
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings


class Terminal:
    """Runs commands in this process on one home, as the console script does."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._capsys, self._monkeypatch = home, capsys, monkeypatch
        self.store = Store.of(read_settings(home, {}))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of ``secure-ml-api models ARGUMENTS``."""
        self._monkeypatch.setattr(sys, "argv", ["secure-ml-api", "models", *arguments, "--home", str(self.home)])
        self._capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return status, captured.out, captured.err

    def json(self, *arguments: str) -> Any:
        status, out, err = self.run(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    def refusal(self, *arguments: str) -> str:
        """The one line on stderr of a command that must fail."""
        status, out, err = self.run(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith("secure-ml-api: ")
        assert err.count("\n") == 1
        return err
