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

# Nothing tells the master that a worker serves: while one is on its way it looks so often.
_LOOK_SECONDS = 0.05
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


class ServerArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's arbiter with its own reload: new workers serve before old ones stop, and the master waits for none."""

    LISTENERS: list[Any]

    def __init__(self, app: Any) -> None:
        self._retiring: dict[int, str] = {}  # pids of workers that only finish what they have, and why
        self._recruits: set[int] = set()  # those that begin with a new configuration, until it is known to serve
        self._is_asked_again = False  # for a reload, during one
        super().__init__(app)

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """What has come, or nothing after ``timeout`` seconds, or sooner while a worker is on its way."""
        is_awaited = not all(map(self._serves, self.WORKERS))
        signals: list[int] = super().wait_for_signals(min(timeout, _LOOK_SECONDS) if is_awaited else timeout)
        return signals

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
        """Rebuild the application from new settings and begin workers with it; one reload follows another."""
        if self._recruits:
            self._is_asked_again = True
        elif self.app.renew():
            self.setup(self.app)
            self._recruits = {self.spawn_worker() for _ in range(self.num_workers)}

    def manage_workers(self) -> None:
        """One look at the workers: who is to come, and who is to go.

        While a reload goes on nobody comes but its workers: what they begin with may turn out not to serve.
        """
        if self.app.certificates is not None:
            self.app.certificates.refresh()  # so that workers to come begin with what the others have
        self._retiring = {pid: reason for pid, reason in self._retiring.items() if pid in self.WORKERS}
        if self._recruits:
            self._follow_reload()
        if not self._recruits:
            self._keep_number()

    def murder_workers(self) -> None:
        """Kill who hangs. One that begins gives no sign of life, so gunicorn would wait for it for ever."""
        seconds = self.app.settings.server.start_timeout_seconds
        for pid, worker in [*self.WORKERS.items()]:
            if worker.aborted or self._serves(pid) or time.monotonic() <= worker.begun_at + seconds:
                continue
            logger.error("a worker that did not begin to serve in %g seconds is killed", seconds)
            worker.aborted = True
            self.kill_worker(pid, signal.SIGKILL)
        super().murder_workers()

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

    def _follow_reload(self) -> None:
        """When all new workers serve the old ones leave, and when one is gone the new ones do."""
        is_refused = not self._recruits <= set(self.WORKERS)
        if not is_refused and not all(map(self._serves, self._recruits)):
            return
        if is_refused:
            self.app.revert()
            self.setup(self.app)
            leaving = self._recruits & set(self.WORKERS)
        else:
            self.app.keep()
            leaving = set(self.WORKERS) - self._recruits - set(self._retiring)
        for pid in leaving:
            self._retire(pid, "reload")
        self._recruits = set()
        if not is_refused:
            logger.info("reloaded: the new configuration serves")
        if self._is_asked_again:
            self._is_asked_again = False
            self.reload()

    def _keep_number(self) -> None:
        """As many workers as are wanted, beside those who ask for relief: these stay until enough others serve."""
        staying = sorted(set(self.WORKERS) - set(self._retiring), key=lambda pid: self.WORKERS[pid].age)
        weary = [pid for pid in staying if self.app.board.asks_for_relief(self.WORKERS[pid].slot)]
        # One that takes long to come is not worth one that serves.
        fit = sorted((pid for pid in staying if pid not in weary), key=self._serves)
        for _ in range(self.num_workers - len(fit)):
            self.spawn_worker()
        surplus = max(0, len(fit) - self.num_workers)
        for pid in fit[:surplus]:
            self._retire(pid, "surplus")
        serving = sum(map(self._serves, fit[surplus:]))
        for pid in weary[: max(0, serving + len(weary) - self.num_workers)]:
            self._retire(pid, "relief")

    def _serves(self, pid: int) -> bool:
        is_serving: bool = self.app.board.is_serving(self.WORKERS[pid].slot)
        return is_serving


def hear_signals() -> None:
    """Let the signals that stop a process reach it, those too that waited: for a worker, once it has a handler."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
