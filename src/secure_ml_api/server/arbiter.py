"""The master process: gunicorn's arbiter, which keeps what serves until what follows it serves."""

from __future__ import annotations

import logging
import signal
import time
from queue import Empty
from typing import Any

from gunicorn.arbiter import Arbiter

from ..telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

# Time that the workers of a new configuration have to start; then the old ones stay.
_BOOT_SECONDS = 60.0
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


class ServerArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's arbiter with its own reload: new workers serve before old ones stop, and nothing waits for these."""

    LISTENERS: list[Any]

    def __init__(self, app: Any) -> None:
        self._retiring: dict[int, str] = {}  # pids of workers that only finish what they have, and why
        self._is_told_to_stop = False
        super().__init__(app)

    def signal(self, sig: int, frame: Any) -> None:
        self._is_told_to_stop |= sig in _STOPS
        super().signal(sig, frame)

    def spawn_worker(self) -> int:
        """Fork a worker; a signal that is sent to it meanwhile waits until it can hear.

        Until a worker has handlers of its own, those of the master would take the signal and nobody would ever act.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            pid: int = super().spawn_worker()
        finally:
            hear_signals()
        return pid

    def reload(self) -> None:
        """Rebuild the application from new settings and replace the workers; when that fails, change nothing."""
        if not self.app.renew():
            return
        self.setup(self.app)
        veterans = set(self.WORKERS) - set(self._retiring)
        recruits = {self.spawn_worker() for _ in range(self.num_workers)}
        if self._all_serve(recruits):
            self.app.keep()
            leaving = veterans
        else:
            self.app.revert()
            self.setup(self.app)
            leaving = recruits
        for pid in leaving & set(self.WORKERS):
            self._retire(pid, "reload")
        if leaving is veterans:
            logger.info("reloaded: the new configuration serves")

    def manage_workers(self) -> None:
        """Keep the wanted number of workers, not counting those that only finish what they have."""
        if self.app.certificates is not None:
            self.app.certificates.refresh()  # so that workers to come begin with what the others have
        self._retiring = {pid: reason for pid, reason in self._retiring.items() if pid in self.WORKERS}
        serving = sorted(set(self.WORKERS) - set(self._retiring), key=lambda pid: self.WORKERS[pid].age)
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        # One that took too long to come is not worth one that serves.
        leavable = sorted(serving, key=lambda pid: self.app.board.is_serving(self.WORKERS[pid].slot))
        for pid in leavable[: max(0, len(serving) - self.num_workers)]:
            self._retire(pid, "surplus")
        weary = [pid for pid in serving if self.app.board.asks_for_relief(self.WORKERS[pid].slot)]
        if weary and self._all_serve({self.spawn_worker() for _ in weary}):
            for pid in weary:
                self._retire(pid, "relief")

    def stop(self, graceful: bool = True) -> None:
        """End the workers, with ``graceful`` once they have finished what they have, in ``graceful_timeout`` at most.

        Gunicorn would measure that on the wall clock, and kill at once when somebody sets it meanwhile.
        """
        self.app.board.announce_stop()
        if graceful:
            for listener in self.LISTENERS:
                listener.close()
            self.LISTENERS = []
            self.kill_workers(signal.SIGTERM)
            until = time.monotonic() + self.cfg.graceful_timeout
            while self.WORKERS and time.monotonic() < until and not self._is_pressed():
                self.reap_workers()
                time.sleep(0.05)
        super().stop(graceful=False)

    def _is_pressed(self) -> bool:
        """Whether a signal has come that waits for nobody."""
        try:
            return self.SIG_QUEUE.get_nowait() in {signal.SIGINT, signal.SIGQUIT}
        except Empty:
            return False

    def handle_usr2(self) -> None:
        """Nothing: a second master would need a second lock on the home. SIGHUP reloads without a gap."""
        logger.warning("SIGUSR2 is not supported; SIGHUP reloads")

    def count_end(self, pid: int) -> None:
        """The worker ``pid`` is gone; one that was not told to go has died. When the server stops, nobody counts."""
        reason = self._retiring.pop(pid, "died")
        if not self.app.board.stopping:
            Metrics().worker_ended(reason)

    def _retire(self, pid: int, reason: str) -> None:
        self._retiring.setdefault(pid, reason)
        self.kill_worker(pid, signal.SIGTERM)

    def _all_serve(self, recruits: set[int]) -> bool:
        """Whether all new workers came to serve; False as soon as one of them is gone, or when they take too long.

        A server that is told to stop waits no longer.
        """
        until = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < until and not self._is_told_to_stop:
            self.reap_workers()
            if not recruits <= set(self.WORKERS):
                return False
            if all(self.app.board.is_serving(self.WORKERS[pid].slot) for pid in recruits):
                return True
            time.sleep(0.02)
        return False


def hear_signals() -> None:
    """Let the signals that stop a process reach it, those too that waited: for a worker, once it has its handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
