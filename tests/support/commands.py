"""Commands of the console script, each in a process of its own; see ``nursery`` for what it is forked from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .nursery import start


def run_command(
    *arguments: str, environ: Mapping[str, str] = os.environ, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """``secure-ml-api`` with ``arguments``, in ``environ``; fails the test when it takes longer than ``seconds``."""
    with tempfile.TemporaryDirectory() as directory:
        stdout, stderr = Path(directory, "stdout"), Path(directory, "stderr")
        process = start([sys.executable, "-m", "secure_ml_api", *arguments], environ, stderr, stdout)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"secure-ml-api {' '.join(arguments)} had not ended after {seconds} s") from None
        return subprocess.CompletedProcess(arguments, status, stdout.read_text("utf-8"), stderr.read_text("utf-8"))
