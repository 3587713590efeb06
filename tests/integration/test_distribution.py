"""What is published: a wheel that has all that serving reads, installed where nothing else of the project is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from secure_ml_api import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source distribution, by the end of their names."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return {".whl" if path.suffix == ".whl" else ".tar.gz": path for path in directory.iterdir()}


def test_wheel_holds_the_package_with_its_data_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = set(wheel.namelist())
    package = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    wanted = {name for name in package if "__pycache__" not in name}
    assert {name for name in names if name.startswith("secure_ml_api/")} == wanted
    assert {"secure_ml_api/py.typed", "secure_ml_api/examples/data/boston_housing.csv"} <= names
    assert all(name.startswith(("secure_ml_api/", f"secure_ml_api-{__version__}.dist-info/")) for name in names)
    assert f"secure_ml_api-{__version__}.dist-info/licenses/LICENSE" in names


def test_source_distribution_is_whole_enough_to_be_built_from(built: dict[str, Path]) -> None:
    with tarfile.open(built[".tar.gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/secure_ml_api/__init__.py", "PKG-INFO"} <= names


def test_wheel_works_where_only_its_dependencies_are(built: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(built[".whl"], tmp_path / "site", "zip")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for arguments in (["--version"], ["--help"], ["openapi", "--home", str(tmp_path / "home")]):
        command = [sys.executable, "-P", "-m", "secure_ml_api", *arguments]
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    where = "import secure_ml_api; print(secure_ml_api.__file__)"
    found = subprocess.run([sys.executable, "-P", "-c", where], env=environ, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path / "site"))


def test_version_is_told_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("typed", "completed"), [(["mod"], "models"), (["models", "ca"], "canary"), (["ser"], "serve")]
)
def test_bash_completes_commands(typed: list[str], completed: str) -> None:
    words = " ".join(["secure-ml-api", *typed])
    environ = {
        **os.environ,
        "_SECURE_ML_API_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed)),
    }
    command = [sys.executable, "-m", "secure_ml_api"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"plain,{completed}" in done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    command = [sys.executable, "-m", "secure_ml_api", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "_SECURE_ML_API_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, timeout=10, check=True)
