"""Looks after the runs of one worker: ends those that nobody waits for, and tells of those that do not end.

Runs are looked at ten times a second from a thread of their own, which costs a run nothing but an entry in a
dictionary. A run that is late is asked to stop, and most are over then. One that goes on all the same gives its place
to others, so that callers of other models are served beside it; how many may go on like that is bounded, as each keeps
a thread and, maybe, a CPU. A run that is still there after the run limit is not expected to end at all; one that holds
up the main thread, which serves all connections of the process where anything quick runs in it, much sooner.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event, Thread, main_thread
from typing import TYPE_CHECKING

from .job import Job

if TYPE_CHECKING:
    from ..models.model import Model

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.1
# Rounds that a quick run, which takes well under a millisecond, may be seen in. Rounds and not seconds, so that a
# process which was itself held up for a while does not blame its runs.
_QUICK_ROUNDS = 4


@dataclass(slots=True)
class _Note:
    """What is remembered of a run from round to round."""

    first_seen_at: float
    rounds: int = 0
    rounds_late: int = 0


class Watchdog:
    """``running`` is the run of each thread that is in one, kept by the runner. Safe to build before a fork."""

    def __init__(self, run_limit_seconds: float, max_abandoned_runs: int, distrust: Callable[[Model], None]) -> None:
        self.running: dict[int, Job] = {}
        self._run_limit_seconds = run_limit_seconds
        self._max_abandoned_runs = max_abandoned_runs
        self._distrust = distrust
        self._on_hang: Callable[[Model, float], None] = _tell_nobody
        self._main_thread = main_thread().ident or 0
        self._notes: dict[Job, _Note] = {}
        self._has_told = False
        self._stopped = Event()

    def start(self, on_hang: Callable[[Model, float], None]) -> None:
        """Watch, in a thread, until ``stop``; ``on_hang`` is told once, of the first run past the run limit."""
        self._on_hang = on_hang
        Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def overdue(self, now: float) -> set[int]:
        """The threads in quick runs for which nobody waited any more at the second ``now``; they cannot say so."""
        return {thread for thread, run in list(self.running.items()) if run.is_quick and run.until <= now}

    def hangs_in(self, thread: int) -> Model | None:
        """The model that ``thread`` asked, believing it to be quick, and that goes on although it was told to stop."""
        run = self.running.get(thread)
        note = self._notes.get(run) if run is not None else None
        return run.model if run is not None and run.is_quick and note is not None and note.rounds_late > 1 else None

    def look(self, now: float) -> None:
        """One round, at the second ``now`` of the monotonic clock."""
        runs = list(self.running.values())
        in_main_thread = self.running.get(self._main_thread)
        self._notes = {run: self._notes.get(run) or _Note(now) for run in runs}
        for run, note in self._notes.items():
            note.rounds += 1
            if note.rounds > _QUICK_ROUNDS if run.is_quick else now >= run.until:
                note.rounds_late += 1
                self._end(run, note, runs)
            seconds = now - note.first_seen_at
            blocks_all = run is in_main_thread and note.rounds_late > _QUICK_ROUNDS
            if (seconds >= self._run_limit_seconds or blocks_all) and not self._has_told:
                self._has_told = True
                self._on_hang(run.model, seconds)

    def _end(self, run: Job, note: _Note, runs: Iterable[Job]) -> None:
        run.stop()
        if run.is_quick:
            if note.rounds_late == 1:
                self._distrust(run.model)
                log.warning("a run that should have been quick was stopped", extra=_named(run.model))
        elif note.rounds_late > 1 and not run.place.was_given_back:
            abandoned = sum(not other.is_quick and other.place.was_given_back for other in runs)
            if abandoned < self._max_abandoned_runs:
                run.place.give_back()
                log.warning("a run goes on although nobody waits for it any more", extra=_named(run.model))

    def _watch(self) -> None:
        while not self._stopped.wait(ROUND_SECONDS):
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("the watchdog failed in one round")


def _named(model: Model) -> dict[str, str]:
    return {"model": model.name, "version": model.version}


def _tell_nobody(model: Model, seconds: float) -> None:
    pass
