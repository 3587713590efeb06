"""From settings to a limiter."""

from __future__ import annotations

from pathlib import Path

from ..access_sections import QuotasSettings
from ..errors import SettingsError
from ..setting_sections import StateSettings
from ..state.shared import COUNTERS_FILE, shared_state
from .counters import Counters
from .failover import Failover
from .in_flight import InFlight
from .limiter import Limiter
from .lmdb_storage import LmdbStorage
from .memory_storage import MemoryStorage

_REDIS_SCHEMES = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")


def open_limiter(state: StateSettings, quotas: QuotasSettings, run_directory: Path) -> Limiter:
    """The limiter that counts where ``state.url`` says; nothing is opened or connected until its first use.

    Raises SettingsError for a URL that is not spoken here, or whose client library is missing.
    """
    counters = open_counters(state, run_directory)
    shared = (
        None if isinstance(counters, MemoryStorage) else shared_state(run_directory / COUNTERS_FILE, state.size_bytes)
    )
    return Limiter(
        Failover(counters, MemoryStorage(), quotas.on_storage_error),
        InFlight(shared, quotas.on_storage_error),
    )


def open_counters(state: StateSettings, run_directory: Path) -> Counters:
    """The store of the counters that ``state.url`` names; raises as ``open_limiter``."""
    if not state.url:
        path = run_directory / COUNTERS_FILE
        return LmdbStorage(f"lmdb://{path.absolute()}", state=shared_state(path, state.size_bytes))
    scheme = state.url.partition("://")[0]
    if scheme == "memory":
        return MemoryStorage()
    if scheme in _REDIS_SCHEMES:
        from .redis_storage import open_redis

        return open_redis(state.url, state.timeout_seconds)
    raise SettingsError("state.url: use redis://…, valkey://… or memory://, or leave it empty to count on this machine")
