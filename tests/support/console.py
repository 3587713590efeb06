"""The console script, run in this process: what it printed, and its exit status."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from secure_ml_api.cli import main


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str


class Console:
    """Runs commands on one home."""

    def __init__(self, home: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Ran:
        self._monkeypatch.setenv("SECURE_ML_API_HOME", self._home)
        self._monkeypatch.setattr(sys, "argv", ["secure-ml-api", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        captured = self._capsys.readouterr()
        return Ran(status, captured.out, captured.err)
