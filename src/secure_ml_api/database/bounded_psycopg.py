"""psycopg's connection with an end to its patience: a server that hangs without closing holds no thread for ever."""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any

import psycopg

_POLL_SECONDS = 0.1


class _BoundedConnection(psycopg.Connection[Any]):
    answer_within_seconds = 10.0

    def wait(self, gen: Any, interval: float = _POLL_SECONDS, *_: Any, **__: Any) -> Any:
        """Wait for the server, but no longer than ``answer_within_seconds``; then the connection is closed."""
        return super().wait(self._bounded(gen), min(interval, _POLL_SECONDS))

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        deadline = monotonic() + self.answer_within_seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value


def connect_bounded(answer_within_seconds: float, *arguments: Any, **parameters: Any) -> psycopg.Connection[Any]:
    """A connection whose every wait ends after ``answer_within_seconds``; raises psycopg.Error."""
    connection = _BoundedConnection.connect(*arguments, **parameters)
    connection.answer_within_seconds = answer_within_seconds
    return connection
