"""What becomes of a command whose output cannot be written."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from secure_ml_api.cli import serve
from secure_ml_api.cli.output import OUTPUT_LOST
from secure_ml_api.settings import read_settings


class Full(io.StringIO):
    """A file on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("arguments", [["completion", "bash"], ["models", "list", "--json"], ["models", "list"]])
def test_command_ends_with_one_line_and_a_status_of_its_own(tmp_path: Path, arguments: list[str]) -> None:
    environ = {**os.environ, "SECURE_ML_API_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "secure_ml_api", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            timeout=60,
            check=False,
        )
    lost = "secure-ml-api: what was to be printed is lost: stdout: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (OUTPUT_LOST, lost)


@pytest.mark.parametrize("as_json", [True, False])
def test_server_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    settings = read_settings(tmp_path / "home", {})
    monkeypatch.setattr("secure_ml_api.cli.init._prepare_examples", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", Full())
    serve._prepare(settings, as_json=as_json, demo=False)
    assert settings.keys_directory.is_dir()
    lost = "secure-ml-api: warning: what was to be printed is lost: stdout: No space left on device\n"
    assert capsys.readouterr().err == lost
