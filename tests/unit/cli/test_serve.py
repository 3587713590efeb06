"""What ``serve`` says before it serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from secure_ml_api.cli import init, serve
from secure_ml_api.settings import Settings, read_settings


def test_each_step_of_preparing_a_home_is_told_when_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def prepare(settings: Settings, *, tell: Callable[[str], object]) -> list[str]:
        tell("made the keys")
        told.append(capsys.readouterr().out)
        return ["made the keys"]

    monkeypatch.setattr(init, "prepare", prepare)
    serve._prepare(read_settings(tmp_path / "home", {}), as_json=False, demo=False)
    assert told == ["made the keys\n"]
    assert capsys.readouterr().out.startswith("Serving http://127.0.0.1:8000 ")


def test_as_json_all_of_it_is_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(init, "prepare", lambda settings: ["made the keys"])
    serve._prepare(read_settings(tmp_path / "home", {}), as_json=True, demo=False)
    assert json.loads(capsys.readouterr().out)["prepared"] == ["made the keys"]
