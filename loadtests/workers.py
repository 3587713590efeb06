"""Which processes that send requests are there, and which were lost. Imports locust, as callers.py does."""

from __future__ import annotations

import time

from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, Runner

from .record import LostWorker


class Workers:
    """Those of one run, as the process sees them that conducts it; a run of one process has none."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.lost: list[LostWorker] = []

    def look(self, runner: Runner | None, *, cut_short: bool = False) -> list[LostWorker]:
        """Those that were lost since the last look: fallen silent, or gone before the run was over.

        Locust itself ends a run that has no worker left, which is then ``cut_short``.
        """
        if not isinstance(runner, MasterRunner):
            return []
        silent = {node.id for node in runner.clients.missing}  # after about a minute locust forgets them
        there = {node.id for node in runner.clients.all} - silent
        self._seen |= there
        is_on = runner.state in (STATE_SPAWNING, STATE_RUNNING) or (cut_short and not there)
        gone = self._seen - there if is_on else self._seen & silent
        now = int(time.time())
        new = [LostWorker(name, now) for name in sorted(gone - {worker.name for worker in self.lost})]
        self.lost += new
        return new

    def words(self) -> str:
        """How many are lost, for a line of progress; "" when none is."""
        return f"  {len(self.lost)} of {len(self._seen)} workers lost" if self.lost else ""
