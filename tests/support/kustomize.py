"""Overlays of Kubernetes as kustomize renders them, whose library ``make deploy-tools`` installs.

The library is written in Go, whose runtime takes over signals and threads: this file, run as a program, loads it in a
process of its own.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

_LIBRARY = "lib/python*/site-packages/pykustomize/_lib/linux-amd64/libpykustomize.so"


def rendered(folder: Path) -> str:
    """What ``kubectl apply -k folder`` would send, as YAML; AssertionError with kustomize's words when it cannot be.

    The test that asks is skipped where the library does not run.
    """
    import pytest  # neither is of the program

    from support.needs import deploy_tool

    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("kustomize's library is built for Linux on x86-64 alone")
    library = deploy_tool(_LIBRARY)
    command = [sys.executable, __file__, str(library), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _build(library: str, folder: str) -> str:
    kustomize = ctypes.CDLL(library)
    kustomize.pykustomize_last_error.restype = ctypes.c_char_p
    result = ctypes.c_char_p()
    if kustomize.pykustomize_build(folder.encode(), b"{}", ctypes.byref(result)) or result.value is None:
        sys.exit((kustomize.pykustomize_last_error() or b"kustomize gave nothing").decode())
    return result.value.decode()


if __name__ == "__main__":
    sys.stdout.write(_build(*sys.argv[1:]))
