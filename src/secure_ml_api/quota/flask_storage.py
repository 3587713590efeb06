"""The limiter's counters as a storage that Flask-Limiter finds by a URI: one place, and one way to fail."""

from __future__ import annotations

from typing import Any

from limits.storage import Storage

from ..errors import StorageUnavailable
from .failover import Failover

STORAGE_URI = "secure-ml-api-counters://"


class FlaskLimiterStorage(Storage):
    """What ``storage_uri`` and ``storage_options`` of a Limiter lead to, with the same stand-in when the store is away.

    It raises StorageUnavailable when settings say to refuse then.
    """

    STORAGE_SCHEME: list[str] | None = ["secure-ml-api-counters"]  # noqa: RUF012 – as the library declares it

    def __init__(self, uri: str, wrap_exceptions: bool = False, *, counters: Failover, **_options: Any) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._counters = counters

    @property
    def base_exceptions(self) -> type[Exception]:
        return StorageUnavailable

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._counters.run(lambda counters: counters.incr(key, expiry, amount))

    def get(self, key: str) -> int:
        return self._counters.run(lambda counters: counters.get(key))

    def get_expiry(self, key: str) -> float:
        return self._counters.run(lambda counters: counters.get_expiry(key))

    def check(self) -> bool:
        return not self._counters.degraded

    def reset(self) -> int | None:
        return self._counters.run(lambda counters: counters.reset())

    def clear(self, key: str) -> None:
        self._counters.run(lambda counters: counters.clear(key))
