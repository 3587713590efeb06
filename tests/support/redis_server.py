"""A real Redis server on a free port that keeps nothing on disk, and can be stopped, frozen and slowed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from .needs import free_port, program


class RedisServer:
    """Runs while its ``with`` block does; ``directory`` is where it may write."""

    def __init__(self, directory: Path) -> None:
        self._program = program("redis-server", "redis-server")
        self._directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=10)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it takes connections."""
        process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self._directory,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        else:
            raise RuntimeError(f"redis-server ended with {process.wait()}")
        self._process = process

    def stop(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        """Keep it from running: its connections stay open and nothing is answered."""
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def hold_answers(self) -> None:
        """Let it take commands and answer none that may write, for a minute or until ``release_answers``."""
        self.client.client_pause(60_000, all=False)

    def release_answers(self) -> None:
        self.client.client_unpause()

    def pass_time(self, seconds: float) -> None:
        """Bring every key closer to its end by ``seconds``, as if they had passed."""
        for key in self.client.scan_iter():
            left_ms = self.client.pttl(key)
            assert isinstance(left_ms, int)
            self.client.pexpire(key, left_ms - round(seconds * 1000))

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()
