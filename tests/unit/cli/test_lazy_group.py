"""The command line starts without what a command does not need, and exits as scripts expect."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from secure_ml_api.cli import COMMANDS
from secure_ml_api.cli.init import prepare
from secure_ml_api.settings import read_settings

# Everything that takes long to import or that serving does not need.
HEAVY = ("numpy", "onnxruntime", "onnx", "sklearn", "skl2onnx", "skops", "pandas", "torch", "tensorflow", "flask",
         "sqlalchemy", "alembic", "argon2", "cryptography", "jwt", "lmdb", "gunicorn")  # fmt: skip
_LOADED = """
import sys
from secure_ml_api.cli import main
sys.argv = ["secure-ml-api", *{arguments}]
try:
    main()
finally:
    print("loaded:", *sorted(set(sys.modules) & set({heavy})), file=sys.stderr)
"""


@cache
def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = _LOADED.format(arguments=arguments, heavy=HEAVY)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr.strip()) == (0, "loaded:")


def test_help_lists_every_command() -> None:
    listed = run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []


@pytest.mark.parametrize("arguments", [["nothing"], ["--nothing"], ["clients", "--nothing"], ["token"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_asked_for_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"secure-ml-api {name}" in done.stdout or f"{name} [OPTIONS]" in done.stdout


@pytest.mark.parametrize("name", ["clients", "keys", "token", "serve", "init"])
def test_the_help_of_a_command_imports_no_model_library(name: str) -> None:
    loaded = set(run(name, "--help").stderr.split())
    assert not loaded & {"onnx", "sklearn", "skl2onnx", "skops", "pandas", "torch", "tensorflow"}


def test_a_command_on_a_prepared_database_does_without_alembic(tmp_path: Path) -> None:
    prepare(read_settings(tmp_path, {}), examples=False)
    done = run("clients", "list", "--home", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "alembic" not in done.stderr.split()
