"""The master process: gunicorn's arbiter, which keeps what serves until what follows it serves."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter

logger = logging.getLogger(__name__)

# Time that the workers of a new configuration have to start before those of the old one are told to stop anyway.
_BOOT_SECONDS = 60.0


class ServerArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's arbiter with its own reload: new workers serve before old ones stop, and nothing waits for these."""

    def __init__(self, app: Any) -> None:
        self._retiring: set[int] = set()
        super().__init__(app)

    def reload(self) -> None:
        """Rebuild the application from new settings and replace the workers; if it cannot be built, change nothing."""
        if not self.app.renew():
            return
        self.setup(self.app)
        veterans = set(self.WORKERS) - self._retiring
        for _ in range(self.num_workers):
            self.spawn_worker()
        self._await_boots(veterans)
        for pid in veterans & set(self.WORKERS):
            self._retire(pid)
        logger.info("reloaded: the new configuration serves")

    def manage_workers(self) -> None:
        """Keep the wanted number of workers, not counting those that only finish what they have."""
        self._retiring &= set(self.WORKERS)
        serving = sorted(set(self.WORKERS) - self._retiring, key=lambda pid: self.WORKERS[pid].age)
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        for pid in serving[: max(0, len(serving) - self.num_workers)]:
            self._retire(pid)
        if not self.app.has_served and self._anyone_serves():
            self.app.has_served = True
            logger.info("serving with %d workers", self.num_workers)

    def stop(self, graceful: bool = True) -> None:
        self.app.board.announce_stop()
        super().stop(graceful)

    def handle_usr2(self) -> None:
        """Nothing: a second master would need a second lock on the home. SIGHUP reloads without a gap."""
        logger.warning("SIGUSR2 is not supported; SIGHUP reloads")

    def _retire(self, pid: int) -> None:
        self._retiring.add(pid)
        self.kill_worker(pid, signal.SIGTERM)

    def _anyone_serves(self) -> bool:
        return any(self.app.board.is_serving(worker.slot) for worker in self.WORKERS.values())

    def _await_boots(self, veterans: set[int]) -> None:
        """Wait until every worker but the veterans serves or is dead."""
        until = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < until:
            self.reap_workers()
            newcomers = [worker for pid, worker in self.WORKERS.items() if pid not in veterans | self._retiring]
            if all(self.app.board.is_serving(worker.slot) for worker in newcomers):
                return
            time.sleep(0.02)
        logger.warning("new workers have not started after %d s; the old ones stop anyway", _BOOT_SECONDS)
