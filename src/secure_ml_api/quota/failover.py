"""What happens to quotas while their store is away, decided by ``quotas.on_storage_error`` and visible in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Literal, TypeVar

from ..errors import StorageUnavailable
from .counters import Counters
from .lmdb_storage import LmdbStorage

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)

# While the store is away, one request per pause tries it again; the rest do not wait for it. With the time-out of the
# store (0.25 s by default) this keeps the way back under a second.
PAUSE_SECONDS = 0.5


class Failover:
    """The store of the quotas, and a stand-in while it does not answer.

    ``local`` counts in this process's memory meanwhile: each worker then grants the whole quota on its own. ``refuse``
    raises StorageUnavailable. Each change is logged once, and ``degraded`` says which side is counting now.
    """

    def __init__(
        self,
        store: Counters,
        stand_in: Counters,
        on_error: Literal["local", "refuse"],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.degraded = False
        self._store = store
        self._stand_in = stand_in
        self._on_error = on_error
        self._clock = clock
        self._lock = Lock()
        self._try_again_at = 0.0

    def run(self, work: Callable[[Counters], Answer]) -> Answer:
        """The answer of ``work`` from the store, or from its stand-in; raises StorageUnavailable with ``refuse``."""
        if self.degraded and not self._claims_the_next_try():
            return self._without_the_store(work, None)
        try:
            answer = work(self._store)
        except self._store.base_exceptions as error:
            self._lost(error)
            return self._without_the_store(work, error)
        if self.degraded:
            self._found()
        return answer

    @property
    def in_shared_state(self) -> LmdbStorage | None:
        """The store, if it keeps its counters in the shared state and answers."""
        return self._store if isinstance(self._store, LmdbStorage) and not self.degraded else None

    def purge(self) -> None:
        """Forget windows that are over, on both sides, in bounded time; never raises."""
        self._stand_in.purge()
        if not self.degraded:
            try:
                self._store.purge()
            except self._store.base_exceptions as error:
                self._lost(error)

    def _claims_the_next_try(self) -> bool:
        with self._lock:
            now = self._clock()
            if now < self._try_again_at:
                return False
            self._try_again_at = now + PAUSE_SECONDS
            return True

    def _without_the_store(self, work: Callable[[Counters], Answer], error: Exception | None) -> Answer:
        if self._on_error == "refuse":
            raise StorageUnavailable("quotas cannot be counted right now") from error
        return work(self._stand_in)

    def _lost(self, error: Exception) -> None:
        with self._lock:
            self._try_again_at = self._clock() + PAUSE_SECONDS
            if self.degraded:
                return
            self.degraded = True
        doing = "requests are refused" if self._on_error == "refuse" else "each worker counts on its own"
        # The text of a driver's error may hold a URL with a password, so only its kind is logged.
        _log.error("the store of the quotas does not answer (%s); %s until it does", type(error).__name__, doing)

    def _found(self) -> None:
        with self._lock:
            if not self.degraded:
                return
            self.degraded = False
        _log.warning("the store of the quotas answers again; quotas are counted there")
