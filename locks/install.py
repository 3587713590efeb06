"""Installs locks, by several pips side by side: ``install.py [--python PYTHON] LOCK...``.

A lock names everything that its packages need, each with its hashes. So nothing has to be resolved, and no package
waits for another: each pip has a share of them, and while one fetches, another one unpacks. Fails when one does.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
# Modules are compiled when they are first imported: most of what is installed never is.
INSTALL = ("install", "--no-compile", "--no-deps", "--require-hashes")
_MOST = 8


def shares(lock: str, number: int) -> list[str]:
    """The packages of ``lock`` dealt out to ``number`` locks, or fewer where it has fewer; all have its options."""
    head, *entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return [head + "".join(entries[first::number]) for first in range(min(number, len(entries)))]


def install(python: str, locks: list[Path], number: int) -> int:
    """Install ``locks`` into the environment of ``python``; the number of pips that failed, which say why on stderr."""
    parts = [part for lock in locks for part in shares(lock.read_text("utf-8"), number)]
    with tempfile.TemporaryDirectory() as directory:
        running = []
        for place, part in enumerate(parts):
            file = Path(directory, f"{place}.txt")
            file.write_text(part, "utf-8")
            running.append(subprocess.Popen([*PIP, "--python", python, *INSTALL, "-r", str(file)]))
        return sum(pip.wait() != 0 for pip in running)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable, help="of the environment to install into")
    parser.add_argument("locks", nargs="+", type=Path)
    options = parser.parse_args()
    # Two for each CPU: each waits for the network about as long as it unpacks.
    return 1 if install(options.python, options.locks, min(2 * (os.cpu_count() or 1), _MOST)) else 0


if __name__ == "__main__":
    sys.exit(main())
