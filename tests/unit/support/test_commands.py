"""Commands that are forked do what a fresh process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import run_command


@pytest.mark.parametrize(
    "arguments", [("--version",), ("clients", "--nonsense"), ("models", "list", "--home", "absent")]
)
def test_outputs_and_status_are_those_of_a_fresh_process(arguments: tuple[str, ...]) -> None:
    fresh = subprocess.run(
        [Path(sys.executable).parent / "secure-ml-api", *arguments], capture_output=True, text=True, check=False
    )
    forked = run_command(*arguments)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_the_environment_is_that_of_the_call_and_of_no_earlier_one(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("one", "other")]
    for home in homes:
        done = run_command("init", "--no-examples", environ={**os.environ, "SECURE_ML_API_HOME": str(home)})
        assert done.returncode == 0, done.stderr
    assert all((home / "data.db").exists() for home in homes)


def test_who_sets_what_python_reads_at_its_start_gets_an_interpreter_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the click of the call')")
    done = run_command("--version", environ={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (1, "the click of the call\n")


def test_a_command_that_does_not_end_fails_the_test_and_not_the_next_command(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(AssertionError, match="had not ended"):
        run_command("backup", str(tmp_path / "rows.csv"), "--home", str(tmp_path), seconds=0)
    assert run_command("--version").returncode == 0
