"""Granian's HTTP engine, reached below its own server: the only file that knows its inner API.

Granian offers no public way to serve a socket that somebody else listens on. Its inner one is pinned to a minor range
and guarded by ``tests/contracts/test_granian_inner_api.py``.

Granian's RSGI interface normally runs a coroutine per request on an event loop. Here there is no loop: the scheduling
hook gets each request on granian's own thread for Python, and what would be called on the loop (the end of a body) is
called on that thread at once. A request without a body costs no hand-over to another thread, one with a body costs one,
and a body that does not come costs no thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib import import_module
from threading import Event
from typing import Any, Protocol

Arrived = Callable[["Watcher"], None]


class Body(Protocol):
    """A body on its way; like an asyncio future as far as it goes."""

    def add_done_callback(self, callback: Callable[[Body], None]) -> None: ...
    def result(self) -> bytes: ...
    def cancel(self) -> bool: ...


class Exchange(Protocol):
    """The two ends of one exchange; ``response_bytes`` counts the first time only."""

    def __call__(self) -> Body: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class Watcher(Protocol):
    """One request whose header block has come: what it asks (``scope``) and how it is answered (``proto``)."""

    scope: Any
    proto: Exchange


class _AtOnce:
    """In the place of an event loop."""

    def call_soon(self, callback: Callable[..., object], *args: object, context: object = None) -> None:
        callback(*args)

    call_soon_threadsafe = call_soon


class Engine:
    """Granian serving one listening socket, until ``stop``; to be made after the fork.

    ``arrived`` is called for every request, on one and the same thread, and must neither raise nor take long.
    """

    def __init__(self, listener: socket.socket, arrived: Arrived, connections: int, head: tuple[float, int]) -> None:
        inner: Any = import_module("granian._granian")  # granian's stubs do not tell of all that is used here
        http: Any = import_module("granian.http")
        header_seconds, head_bytes = head
        self._stopped = Event()
        # A descriptor of granian's own, so that it can be taken away without closing the socket.
        self._descriptor = socket.socket.dup(listener).detach()
        loop = _AtOnce()
        scheduler = inner.CallbackScheduler(loop, arrived, None, None, None)
        scheduler._schedule_fn = arrived  # noqa: SLF001 — as granian's own Python side does
        self._signal = inner.WorkerSignal()
        self._signal.add_cb(self._stopped.set)
        worker = inner.RSGIWorker(
            1,
            (None, inner.SocketHolder(self._descriptor, False, 1024)),
            None,
            threads=1,
            blocking_threads=1,
            py_threads=1,
            backpressure=connections,
            http_mode="1",
            http1_opts=http.HTTP1Settings(header_read_timeout=round(header_seconds * 1000), max_buffer_size=head_bytes),
            websockets_enabled=False,
        )
        worker.serve_str(scheduler, loop, self._signal)

    def stop_listening(self) -> None:
        """Take no more connections; those that are there go on.

        Granian can only stop both at once. So its descriptor becomes one of a socket to which nobody connects.
        """
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind("")  # an address that the kernel makes up
            nobody.listen(1)
            nobody.setblocking(False)
            os.dup2(nobody.fileno(), self._descriptor, inheritable=False)

    def stop(self, seconds: float) -> None:
        """Let granian close what is idle and finish what is not, at most ``seconds`` long."""
        self._signal.set()
        self._stopped.wait(seconds)
