"""Programs that some tests need from the system."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

# Where Debian puts servers that are not on every user's PATH.
_SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"])
_DEPLOY_TOOLS = Path(__file__).parents[2] / ".deploy-tools"
_PORTS = range(15_000, 32_768)


def program(name: str, debian_package: str) -> str:
    """The path of ``name``; without it the test is skipped with the remedy, or fails where CI=true."""
    return shutil.which(name, path=_SEARCH) or miss(f"{name} is missing: apt-get install {debian_package}")


def deploy_tool(pattern: str) -> Path:
    """A file of ``make deploy-tools``; without it the test is skipped with the remedy, or fails where CI=true."""
    remedy = f"{pattern.rpartition('/')[2]} is missing: make deploy-tools"
    return next(_DEPLOY_TOOLS.glob(pattern), None) or miss(remedy)


def miss(remedy: str) -> NoReturn:
    """Skip the test for want of something, which fails where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(remedy)
    pytest.skip(remedy)


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on and that no other call was given lately.

    Calls in all processes of a user share one counter, since several runs of the suite may need ports at the same
    moment. The range ends where Linux begins to choose ports for outgoing connections, which would take one that is
    still to be listened on.
    """
    path = Path(tempfile.gettempdir()) / f"secure-ml-api-test-port-{os.getuid()}"
    with path.open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        port = int(counter.read() or random.choice(_PORTS))
        while True:
            port = port + 1 if port + 1 in _PORTS else _PORTS.start
            if is_free(port):
                break
        counter.truncate(0)
        counter.write(str(port))
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket() as probe:
        # As servers do it: connections of an earlier one may still be closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
