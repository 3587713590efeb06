"""Runs a conversion in a process of its own and takes back nothing but bytes that are checked again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from ..errors import PackageRefused, PackingError
from ..models.recheck import recheck
from ..models.sample import SAMPLE_FILE, read_sample
from ..models.verification import FILE_LIMIT_BYTES, MANIFEST_LIMIT_BYTES, read_regular
from ..settings import ENVIRONMENT_PREFIX
from .build import Blueprint, Built
from .job import BLUEPRINT_FILE, JOB_FILE, REFUSAL_FILE, Job
from .natives import MODEL_FILES, open_model

DEADLINE_SECONDS = 900
_REFUSAL_LIMIT_BYTES = 64 * 1024


def convert_apart(job: Job) -> Built:
    """Do ``job`` in a child process; raises PackingError with the child's reason.

    The child gets none of this program's settings from the environment. Its answer is parsed as JSON, ONNX (or skops,
    with a fixed list of types, or trees that are looked at first) and plain arrays, never unpickled, and the model is
    run on the sample once more here, before anything is signed.
    """
    with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
        directory = Path(place)
        (directory / JOB_FILE).write_text(job.model_dump_json(), "utf-8")
        complaint = _run_child(directory)
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if complaint is not None:
                raise PackingError(_refusal(opened) or complaint)
            return _collect(opened)
        except PackageRefused as refused:
            raise PackingError(f"the converting process left no usable answer: {refused}") from None
        finally:
            os.close(opened)


def _run_child(directory: Path) -> str | None:
    """None when the child succeeded, otherwise what can be said about its end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
    command = [sys.executable, "-P", "-W", "ignore", "-m", f"{__package__}.child", str(directory)]
    try:
        child = subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=DEADLINE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"the conversion took longer than {DEADLINE_SECONDS} seconds; use a smaller model or sample"
    if child.returncode == 0:
        return None
    if child.returncode < 0:
        killed = signal.Signals(-child.returncode).name
        return (
            f"the process that read the file was ended by {killed}, as by a file that is damaged; save the model again"
        )
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    return f"the converting process ended with status {child.returncode}: {_printable(lines[-1])}"


def _refusal(opened: int) -> str | None:
    try:
        return _printable(read_regular(opened, REFUSAL_FILE, _REFUSAL_LIMIT_BYTES).decode("utf-8", "replace"))
    except PackageRefused:
        return None


def _collect(opened: int) -> Built:
    try:
        blueprint = Blueprint.model_validate_json(read_regular(opened, BLUEPRINT_FILE, MANIFEST_LIMIT_BYTES))
    except ValidationError:
        raise PackageRefused(f"{BLUEPRINT_FILE} is not what it should be") from None
    model = read_regular(opened, MODEL_FILES[blueprint.runtime], FILE_LIMIT_BYTES)
    sample = read_regular(opened, SAMPLE_FILE, FILE_LIMIT_BYTES)
    signature = blueprint.signature
    recheck(open_model(blueprint.runtime, model, signature), read_sample(sample, signature), signature)
    return Built(blueprint, model, sample)


def _printable(text: str) -> str:
    """One line without control characters: the text may come from a file that nobody has vouched for."""
    return "".join(character if character.isprintable() else " " for character in text)[:2000].strip()
