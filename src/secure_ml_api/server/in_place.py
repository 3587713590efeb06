"""The worker that answers quick requests where they arrive: on the thread that serves all connections.

A request that is plain, has come whole and is for something that the application answers without waiting costs no
hand-over to a thread and no general parser. Every other request goes the way of ``GuardedThreads``, which this worker
is: the same limits, time-outs, refusals and end of life.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
from functools import partial
from typing import Any

from .gthread import GuardedThreads
from .plain_answer import whole_answer
from .plain_connection import PlainConnection, Takes, worker_constants
from .plain_request import Environ

logger = logging.getLogger(__name__)


class InPlace(GuardedThreads):
    """GuardedThreads, with a short cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._takes: Takes
        self._constants: Environ

    def run(self) -> None:
        self._takes = _nothing if os.environ.get("SCRIPT_NAME") else self.app.in_place_rule()
        self._constants = worker_constants(self.cfg)
        super().run()

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> PlainConnection:
        return PlainConnection(self.cfg, sock, client, server, self._limits, room=self._room, constants=self._constants)

    def _work_off(self, connection: PlainConnection) -> None:
        """Answer what has come whole; the connection is in the poller before and, unless it leaves, after."""
        while connection.is_complete:
            environ = connection.take(self._takes)
            if environ is None:
                self._dispatch(self._taken_from_poller(connection))
                return
            self._count()
            if not self._answer(connection, environ):
                return
        if connection.is_too_long:
            self._refuse(connection, 431)

    def _answer(self, connection: PlainConnection, environ: Environ) -> bool:
        """Answer one request; whether the connection can carry the next one already."""
        try:
            answer, connection.closes = whole_answer(self.wsgi, environ, lambda: connection.closes or self._is_last())
        except Exception:
            logger.exception("a request failed outside of the application's own handlers")
            self._refuse(connection, 500)
            return False
        connection.unsent = memoryview(answer)
        if not self._send(connection):
            return False
        if connection.unsent:
            self.poller.modify(connection.sock, selectors.EVENT_WRITE, partial(self._writable, connection))
            return False
        return self._answered(connection)


def _nothing(method: str, path: str, body_bytes: int) -> bool:  # noqa: ARG001 — the shape of Takes
    return False
