"""What the commands of ``models`` are run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.settings import read_settings
from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    home = tmp_path / "home"
    prepare(read_settings(home, {}), examples=False)
    return Terminal(home, capsys, monkeypatch)
