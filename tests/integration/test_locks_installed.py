"""What make installs locks with: several pips; each has a share, and none takes what the lock does not hash."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "locks" / "install.py"
PROJECTS = ("apple", "pear", "plum")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of each project."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in PROJECTS:
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            info = f"{name}-1.0.dist-info"
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    venv.create(tmp_path / "environment")
    return tmp_path / "environment"


def installed(environment: Path) -> set[str]:
    return {path.stem for path in environment.glob("lib/python*/site-packages/*.py")}


def install(environment: Path, lock: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--python", str(environment / "bin" / "python"), str(lock)],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def lock_of(wheels: Path, file: Path, **hashes: str) -> Path:
    """A lock of all projects, with the true hash of each but for those in ``hashes``."""
    true = {path.name.split("-")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels.iterdir()}
    file.write_text("".join(f"{name}==1.0 \\\n    --hash=sha256:{(true | hashes)[name]}\n" for name in PROJECTS))
    return file


def test_all_that_a_lock_pins_is_installed(environment: Path, wheels: Path, tmp_path: Path) -> None:
    done = install(environment, lock_of(wheels, tmp_path / "lock.txt"), wheels)
    assert (done.returncode, done.stderr) == (0, "")
    assert installed(environment) == set(PROJECTS)


def test_an_archive_that_was_replaced_is_refused_by_its_hash(environment: Path, wheels: Path, tmp_path: Path) -> None:
    done = install(environment, lock_of(wheels, tmp_path / "lock.txt", pear="0" * 64), wheels)
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "pear" not in installed(environment)


def test_a_package_without_a_hash_is_refused(environment: Path, wheels: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("apple==1.0\n")
    done = install(environment, lock, wheels)
    assert done.returncode == 1
    assert "--require-hashes" in done.stderr
    assert not installed(environment)


@pytest.mark.parametrize("number", [1, 3, 1000])
@pytest.mark.parametrize("lock", ["test.txt", "train.txt", "deploy.lock"])
def test_each_package_of_a_lock_is_in_one_share_with_all_of_its_hashes(
    lock: str, number: int, script: ModuleType
) -> None:
    entry = re.compile(r"^\S.*(?:\n +--hash=\S+(?: \\)?)+", re.MULTILINE)
    whole = (ROOT / "locks" / lock).read_text()
    dealt = [each for share in script.shares(whole, number) for each in entry.findall(share)]
    assert len(dealt) > 50
    assert sorted(dealt) == sorted(entry.findall(whole))


def test_every_share_has_the_options_of_its_lock(script: ModuleType) -> None:
    lock = "# by hand\n--extra-index-url https://packages.example\napple==1 --hash=a\npear==1 --hash=b\n"
    assert all("\n--extra-index-url https://packages.example\n" in share for share in script.shares(lock, 2))
