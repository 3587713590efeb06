"""Requests in flight per subject, summed over the workers of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, Literal

from ..errors import QuotaExceeded, StorageUnavailable
from ..state.shared import SharedState
from .in_flight_records import others_in, packed, put
from .lease import Lease

_log = logging.getLogger(__name__)

# Processes that nobody gave a slot are told apart by their pid, above every slot that a server hands out.
_UNNAMED = 1 << 31
# A worker keeps at most this part of a subject's limit for its next requests.
_SHARE_KEPT = 16


class InFlight:
    """Leases of this process, and of the machine's other workers through the table ``in_flight``.

    A subject's record lists (slot, leases) of every worker that holds some. Each worker writes its own number, whole,
    from what it knows in memory: so a record that was lost, or could not be written, is right again after the next
    write, and a dead worker's part goes with its slot. Without a ``state`` only this process is counted.

    A place that is given back is kept for the subject's next request, without a write, as long as this worker keeps no
    more than a sixteenth of the subject's limit; housekeeping gives those back. So another worker may refuse a subject
    that is within that of its limit, for a second at most; limits below sixteen are exact at every moment.
    """

    def __init__(self, state: SharedState | None, on_error: Literal["local", "refuse"]) -> None:
        self._state = state
        self._on_error = on_error
        self._lock = Lock()
        self._mine: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._unwritten: set[str] = set()
        self._slot: int | None = None
        self._forks = _forks

    def set_slot(self, slot: int) -> None:
        if not 0 <= slot < _UNNAMED:
            raise ValueError("a slot is a small number")
        with self._lock:
            self._forget_what_a_parent_held()
            self._slot = slot

    def enter(self, subject: str, limit: int) -> Lease:
        with self._lock:
            self._forget_what_a_parent_held()
            mine = self._mine.get(subject, 0) + 1
            if not self._takes_kept(subject) and not self._fits(subject, mine, limit):
                raise all_taken(limit)
            self._mine[subject] = mine
        return Lease(partial(self.leave, subject, limit))

    def enter_if(self, subject: str, limit: int, agreed: Callable[[Any], bool]) -> Lease | None:
        """As ``enter``, in one transaction with what ``agreed`` does there to the counters; None when it disagrees.

        ``agreed`` is handed the transaction, and asked only when there is a place. Raises StorageUnavailable, with
        nothing done.
        """
        if self._state is None:
            raise StorageUnavailable("places are counted in this process alone")
        with self._lock:
            self._forget_what_a_parent_held()
            mine = self._mine.get(subject, 0) + 1
            try:
                with self._state.over_all(write=True) as (transaction, tables):
                    if not self._kept.get(subject):
                        self._write_place(transaction, tables["in_flight"], subject, mine, limit)
                    if not agreed(transaction):
                        raise _Disagreed  # which undoes the transaction
            except _Disagreed:
                return None
            self._takes_kept(subject)
            self._mine[subject] = mine
        return Lease(partial(self.leave, subject, limit))

    def enter_each(
        self, limits: Mapping[str, int], use: Callable[[Any, Container[str]], object] = lambda *_: None
    ) -> dict[str, Lease]:
        """One place for each subject of ``limits`` that has one free of its limit, in one transaction with ``use``.

        ``use`` is handed the transaction, and those that found no place. Raises StorageUnavailable, and what ``use``
        raises, with nothing done.
        """
        if self._state is None:
            raise StorageUnavailable("places are counted in this process alone")
        with self._lock:
            self._forget_what_a_parent_held()
            full = set()
            with self._state.over_all(write=True) as (transaction, tables):
                for subject, limit in limits.items():
                    if not self._kept.get(subject):
                        try:
                            mine = self._mine.get(subject, 0) + 1
                            self._write_place(transaction, tables["in_flight"], subject, mine, limit)
                        except QuotaExceeded:
                            full.add(subject)
                use(transaction, full)
            entered = limits.keys() - full
            for subject in entered:
                self._takes_kept(subject)
                self._mine[subject] = self._mine.get(subject, 0) + 1
        return {subject: Lease(partial(self.leave, subject, limits[subject])) for subject in entered}

    def leave(self, subject: str, limit: int) -> None:
        with self._lock:
            self._forget_what_a_parent_held()
            mine = self._mine.get(subject, 0) - 1
            if mine < 0:
                return  # taken by the parent of a fork, and its to give back
            if mine:
                self._mine[subject] = mine
            else:
                del self._mine[subject]
            kept = self._kept.get(subject, 0)
            if kept < limit // _SHARE_KEPT and self._state is not None:
                self._kept[subject] = kept + 1
            else:
                self._write_later_if_not_now(subject, mine + kept)

    def _takes_kept(self, subject: str) -> bool:
        """Whether a place was kept for ``subject``; it is taken."""
        kept = self._kept.get(subject, 0)
        if kept > 1:
            self._kept[subject] = kept - 1
        elif kept:
            del self._kept[subject]
        return kept > 0

    def _write_place(self, transaction: Any, table: Any, subject: str, mine: int, limit: int) -> None:
        key, slot = subject.encode(), self._current_slot()
        others = others_in(transaction.get(key, db=table), slot)
        if sum(others[1::2]) + mine > limit:
            raise all_taken(limit)
        transaction.put(key, packed((*others, slot, mine)), db=table)

    def mend(self) -> None:
        """Notice a lost file, give back the places that were kept and write what could not be written; never raises."""
        if self._state is not None:
            with suppress(StorageUnavailable):  # which is met again, and told, by the next request
                self._state.mend()
        if not self._unwritten and not self._kept:
            return
        with self._lock:
            self._forget_what_a_parent_held()
            owed = self._unwritten | self._kept.keys()
            self._kept.clear()
            for subject in owed:
                self._write_later_if_not_now(subject, self._mine.get(subject, 0))

    def drop_slot(self, slot: int) -> None:
        """Forget the leases of ``slot``; raises StorageUnavailable."""
        if self._state is None:
            return
        with self._state.writing("in_flight") as transaction:
            for key, record in list(transaction.cursor()):
                kept = others_in(record, slot)
                if len(kept) * 4 != len(record):
                    put(transaction, key, kept)

    def _fits(self, subject: str, mine: int, limit: int) -> bool:
        """Whether ``mine`` and the other workers' leases are within ``limit``; if so, ``mine`` is written."""
        if self._state is None or mine > limit:
            return mine <= limit
        key = subject.encode()
        slot = self._current_slot()
        try:
            with self._state.writing("in_flight") as transaction:
                others = others_in(transaction.get(key), slot)
                if sum(others[1::2]) + mine > limit:
                    return False
                put(transaction, key, (*others, slot, mine))
        except StorageUnavailable as error:
            if self._on_error == "refuse":
                raise
            self._note_unwritten(subject, error)
            return True
        return True

    def _write_later_if_not_now(self, subject: str, mine: int) -> None:
        if self._state is None:
            return
        key = subject.encode()
        slot = self._current_slot()
        try:
            with self._state.writing("in_flight") as transaction:
                others = others_in(transaction.get(key), slot)
                put(transaction, key, (*others, slot, mine) if mine else others)
        except StorageUnavailable as error:
            self._note_unwritten(subject, error)
        else:
            if self._unwritten:
                self._unwritten.discard(subject)

    def _note_unwritten(self, subject: str, error: StorageUnavailable) -> None:
        if not self._unwritten:
            _log.error("requests in flight are counted per worker for now: %s", error.detail)
        self._unwritten.add(subject)

    def _current_slot(self) -> int:
        return _UNNAMED | os.getpid() if self._slot is None else self._slot

    def _forget_what_a_parent_held(self) -> None:
        if self._forks != _forks:
            self._forks = _forks
            self._mine.clear()
            self._kept.clear()
            self._unwritten.clear()


def _count_fork() -> None:
    global _forks
    _forks += 1


_forks = 0  # between this process and the one that was started; a fork is noticed without a system call
os.register_at_fork(after_in_child=_count_fork)


class _Disagreed(Exception):
    """What was asked inside a transaction said no."""


def all_taken(limit: int) -> QuotaExceeded:
    return QuotaExceeded(f"{limit} requests are in flight already; more are taken when one ends", 1)
