"""A real nginx with the configuration that is shipped, on free ports, in front of a server of this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificates import Signed
from .needs import free_port, program
from .server import wait_until

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "nginx.conf"


class NginxServer:
    """Runs while its ``with`` block does, in ``directory``; speaks TLS with ``signed`` on ``port``."""

    def __init__(self, directory: Path, signed: Signed, *upstream_ports: int) -> None:
        self._program = program("nginx", "nginx-light")
        self._directory = directory
        self._log = directory / "nginx.log"
        self.port = free_port()
        (directory / "tls").mkdir(parents=True)
        (directory / "temp").mkdir()
        shutil.copy(signed.certificate, directory / "tls" / "server.pem")
        shutil.copy(signed.key, directory / "tls" / "server.key")
        text = SHIPPED.read_text()
        for shipped, here in (
            ("listen 8443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (
                "server 127.0.0.1:8000;",
                " ".join(f"server 127.0.0.1:{port} fail_timeout=1s;" for port in upstream_ports),
            ),
            ("access_log /dev/stdout json;", f"access_log {self._log} json;"),
        ):
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, here)
        (directory / "nginx.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        """What ``nginx -t`` says; fails the test when it does not like the configuration."""
        said = subprocess.run([*self._command, "-t"], capture_output=True, text=True, timeout=30, check=False)
        assert said.returncode == 0, said.stderr
        return said.stderr

    def log_text(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def _command(self) -> list[str]:
        return [self._program, "-p", str(self._directory), "-c", str(self._directory / "nginx.conf")]

    def __enter__(self) -> Self:
        with (self._directory / "nginx.errors").open("wb") as errors:
            self._process = subprocess.Popen(
                [*self._command, "-g", "daemon off;"], stdout=subprocess.DEVNULL, stderr=errors, process_group=0
            )
        wait_until(self._listens, what="nginx")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def errors(self) -> list[str]:
        """What nginx complained of, other than what clients did wrong."""
        lines = (self._directory / "nginx.errors").read_text("utf-8").splitlines()
        return [line for line in lines if re.search(r"\[(warn|error|crit|alert|emerg)\]", line)]

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "nginx.errors").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
