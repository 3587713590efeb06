"""Programs that some tests need from the system."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

# Where Debian puts servers that are not on every user's PATH.
_SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"])


def program(name: str, debian_package: str) -> str:
    """The path of ``name``; without it the test is skipped with the remedy, or fails where CI=true."""
    found = shutil.which(name, path=_SEARCH)
    if found:
        return found
    remedy = f"{name} is missing: apt-get install {debian_package}"
    if os.environ.get("CI") == "true":
        pytest.fail(remedy)
    pytest.skip(remedy)


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
