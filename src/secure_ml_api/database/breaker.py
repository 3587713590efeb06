"""Who asks a database that does not answer: one caller at a time. The others are told at once.

Without it every request that needs the database would wait for a time-out of its own, and take a thread along that
predictions need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import StorageUnavailable

# What says that the database is away, or cannot be written; a statement that it refuses does not.
_AWAY = (OperationalError, InterfaceError, PoolTimeout)

PATIENCE_SECONDS = 1.0
PAUSE_SECONDS = 0.5


class Breaker:
    """Lets all callers through while the database answers.

    After a failure, or while the caller who waits longest has waited ``patience_seconds`` and nobody was answered
    meanwhile, one caller per ``pause_seconds`` is let through to try.
    """

    def __init__(
        self,
        patience_seconds: float = PATIENCE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = Lock()
        self._failing = False
        self._reason = "the database does not answer"
        self._try_again_at = 0.0
        self._answered_at = clock()
        self._waiting: dict[object, float] = {}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """One use of the database; raises StorageUnavailable, before anything is asked, while it is away."""
        caller = object()
        with self._lock:
            now = self._clock()
            if (self._failing or self._is_stuck(now)) and now < self._try_again_at:
                raise StorageUnavailable(self._reason)
            self._try_again_at = now + self._pause_seconds
            self._waiting[caller] = now
        try:
            yield
        except StorageUnavailable as error:
            if isinstance(error.__cause__, _AWAY):
                with self._lock:
                    self._failing, self._reason = True, error.detail
                    self._try_again_at = self._clock() + self._pause_seconds
            raise
        else:
            with self._lock:
                self._failing = False
                self._answered_at = self._clock()
        finally:
            with self._lock:
                del self._waiting[caller]

    def _is_stuck(self, now: float) -> bool:
        if not self._waiting:
            return False
        since = max(min(self._waiting.values()), self._answered_at)
        return now - since > self._patience_seconds
