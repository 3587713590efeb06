"""Homes to serve from, made by this project's own commands and kept until its source or a model changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from ...models import SLOW, Model
from ...trouble import CompareError
from . import slow

UNLIMITED = "999999999/minute"
CLIENT_FILE = "compare-client.json"

_SOURCE = Path(__file__).parents[4] / "src" / "secure_ml_api"
_COMMAND_SECONDS = 300


def made_home(model: Model) -> Path:
    """A home with the example models, one client, and ``model``; it is for copying. Raises CompareError."""
    shelf = model.directory.parent / "homes"
    current = shelf / _source_digest()
    for outdated in [path for path in shelf.glob("*") if path != current]:
        shutil.rmtree(outdated)
    examples, home = current / "examples", current / model.name
    if not (examples / CLIENT_FILE).exists():
        shutil.rmtree(examples, ignore_errors=True)
        _command(examples, "init")
        scopes = ["--scope", "predict:*", "--scope", "models:read"]
        quotas = ["--rate", UNLIMITED, "--rows", "999999999999/minute", "--concurrency", "100000"]
        client = _command(examples, "clients", "create", "compare", *scopes, *quotas, "--json")
        (examples / CLIENT_FILE).write_text(client)
    if not (home / "packed").exists():
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(examples, home)
        _add(model, home)
        (home / "packed").touch()
    return home


def _add(model: Model, home: Path) -> None:
    if model.name == SLOW:
        slow.publish(home)
    elif model.directory.joinpath("model.skops").exists():
        source, sample = str(model.directory / "model.skops"), str(model.directory / "sample.csv")
        _command(home, "models", "pack", source, "--name", model.name, "--sample", sample)


def _command(home: Path, *arguments: str) -> str:
    """What the command printed; raises CompareError with its last line when it fails."""
    command = [sys.executable, "-m", "secure_ml_api", *arguments, "--home", str(home)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    if finished.returncode != 0:
        raise CompareError(f"secure-ml-api {' '.join(arguments[:2])}: {finished.stderr.strip()[-300:]}")
    return finished.stdout


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in [*sorted(_SOURCE.rglob("*.py")), *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
