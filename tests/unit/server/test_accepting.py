"""What the main loop does when connections wait that it cannot take."""

from __future__ import annotations

import errno
import logging
import os
from types import SimpleNamespace
from typing import Any

import pytest

from secure_ml_api.server import gthread
from secure_ml_api.server.gthread import GuardedThreads
from secure_ml_api.server.waiting import SWEEP_SECONDS


class Full(GuardedThreads):
    """A worker of which no more is there than taking connections needs."""

    def __init__(self) -> None:
        self._is_short = False
        self._accepts_again_at = 0.0
        self.worker_connections = 1
        self.enabled = True

    def set_accept_enabled(self, enabled: bool) -> None:
        self.enabled = enabled

    def _open_connections(self) -> int:
        return 0


class Crowded:
    """A listener with connections that there is no descriptor for."""

    def accept(self) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_worker_without_descriptors_rests_before_it_tries_again_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those who wait make the listener ready at once: a loop that tried each time would do nothing else."""
    now = 100.0
    monkeypatch.setattr(gthread, "time", SimpleNamespace(monotonic=lambda: now))
    worker = Full()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert worker._takes_connections()
            worker.accept(Crowded())
            assert not worker.enabled
            assert not worker._takes_connections()
            now += SWEEP_SECONDS
    assert [record.getMessage() for record in caplog.records] == ["no new connections for now: Too many open files"]
