"""A virtual environment for each opponent, made once for each version of its requirements."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .trouble import CompareError

REQUIREMENTS = Path(__file__).parent / "requirements"
_INSTALL_SECONDS = 900


def prepare(name: str, cache: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of an environment with ``requirements/NAME.txt``, installed now unless it is there already.

    Raises CompareError when the packages cannot be installed.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    directory = cache / "environments" / name
    python, stamp = directory / "bin" / "python", directory / ".requirements"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    say(f"installing {name} into {directory} …")
    shutil.rmtree(directory, ignore_errors=True)
    uv = shutil.which("uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(directory)] if uv else _venv(directory), name)
    pip = [uv, "pip", "--quiet", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", *_PIP]
    # The lists are complete: there is nothing to resolve, which takes pip minutes for some of them.
    _run([*pip, "--no-deps", "-r", str(requirements)], name)
    stamp.write_text(digest)
    return python


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The installed version of each of ``packages``."""
    script = (
        "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
    )
    found = subprocess.run([python, "-c", script, *packages], capture_output=True, text=True, check=True, timeout=60)
    return dict(zip(packages, json.loads(found.stdout), strict=True))


_PIP = ("--disable-pip-version-check", "--quiet", "install")


def _venv(directory: Path) -> list[str]:
    return [sys.executable, "-m", "venv", str(directory)]


def _run(command: list[str], name: str) -> None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise CompareError(f"{name} could not be installed within {_INSTALL_SECONDS} seconds") from None
    if finished.returncode != 0:
        raise CompareError(f"{name} could not be installed: {finished.stderr.strip()[-600:]}")
