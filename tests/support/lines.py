"""Kept-alive connections whose other ends are known: one to each worker of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

from .loaded import owners
from .one_worker import stopped
from .server import RunningServer, reply_of


@contextmanager
def line_to_each(running: RunningServer) -> Iterator[dict[int, HTTPConnection]]:
    """Process id → a connection that this worker has accepted."""
    pids = running.worker_pids()
    with ExitStack() as stack:
        lines = {}
        for pid in pids:
            line = running.connection()
            stack.callback(line.close)
            with stopped(pids - {pid}):  # so that nobody else takes it
                line.request("GET", "/v2/health/live")
                assert reply_of(line.getresponse()).status == 200
            assert owners(running.port, pids)[line.sock.getsockname()[1]] == pid
            lines[pid] = line
        yield lines
