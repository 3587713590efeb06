"""The wall clock of a server's processes, which a test sets while the server runs; their monotonic clock goes on."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from .needs import program

_SOURCE = Path(__file__).with_suffix(".c")


class MovedClock:
    """Ahead of the true one, at first by nothing, in processes that are started with ``environ``."""

    def __init__(self, directory: Path) -> None:
        self._offset, library = directory / "clock", directory / "moved_clock.so"
        self._offset.write_bytes(struct.pack("@l", 0))
        compiler = program("cc", "gcc")
        subprocess.run([compiler, "-shared", "-fPIC", "-nostdlib", "-o", library, _SOURCE], check=True, timeout=60)
        self.environ = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._offset)}

    def move(self, seconds: int) -> None:
        """Set the clock to ``seconds`` ahead of the true one, in all processes at once."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("@l", seconds))
