"""The fast lane for requests that have come at once, where they are charged on another machine: threads walk them.

The thread that serves all connections does not wait for other machines. It leaves requests to a few walkers, each of
which takes all that wait down the spine together: so the busier a worker is, the more of them are charged in one round
trip, which costs the interpreter as much as all else that is done for a quick prediction.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock, get_ident
from time import monotonic, perf_counter

from ..errors import DeadlineExceeded, Refusal
from ..inference.call import Call
from ..inference.run_threads import RunThreads
from ..inference.together import walk
from .company import Company, Parked
from .lane import Environ, FastLane

log = logging.getLogger(__name__)

Over = Callable[[Parked], None]

# While one waits for the other machine, another does what is to be done here; more only take the interpreter from each
# other, unless these are held up.
_WALKERS = 2
_HELD_UP_SECONDS = 0.05
# The first of those that are walked together waits for the last of them.
_MOST_TOGETHER = 16


@dataclass(slots=True, eq=False)
class _Asked:
    """A request as it walks; another ``call`` of ``parked`` walks in its place when it has begun anew."""

    parked: Parked
    call: Call
    over: Over
    is_left: bool = False
    """Whether what its walker brings does not matter any more: it has begun anew, or was handed over."""

    def arrives(self) -> None:
        self.over(self.parked)


@dataclass(slots=True, eq=False)
class _Walk:
    """One walker: since when it has been on its way, in which thread, and who is with it."""

    since: float
    thread: int = 0
    together: Sequence[_Asked] = ()


class Walkers(Company):
    """Company in up to ``most`` threads; for one thread, as that is."""

    def __init__(self, lane: FastLane, most: int) -> None:
        super().__init__(lane)
        self._most = most
        self._threads = RunThreads()
        self._lock = Lock()
        self._waiting: deque[_Asked] = deque()
        self._walks: set[_Walk] = set()

    def answer(self, environs: Sequence[Environ], over: Over) -> list[Parked]:  # type: ignore[override]
        """The requests themselves, all of them parked; ``over`` is called with each when it can ``arrive``."""
        started_at = perf_counter()
        asked = [self._set_out(environ, started_at) for environ in environs]
        self._services.metrics.in_flight_changed(len(asked))
        with self._lock:
            self._wait(_Asked(each, each.call, over) for each in asked)
        return asked

    def give_up(self, parked: Parked) -> None:
        """The deadline of ``parked`` has passed, wherever it is: it arrives without an answer."""
        with self._lock:
            if parked.is_walking:
                parked.late = DeadlineExceeded("the deadline passed before the model was asked")
                return
        super().give_up(parked)

    def look(self) -> None:
        """Housekeeping: who walks together with one that asks a model which hangs begins anew.

        Nobody is charged twice for it. Who was stopped on the way is told so at once. And as long as anybody waits,
        somebody walks.
        """
        with self._lock:
            left = [asked for walk in self._walks for asked in self._held_up(walk)]
            stopped = [asked for asked in left if asked.call.stopped_by is not None]
            for asked in left:
                asked.is_left = True
            for asked in stopped:
                asked.parked.is_walking = False
            self._waiting.extend(self._anew(asked) for asked in left if asked.call.stopped_by is None)
            if self._waiting:
                self._wait(())
        for asked in stopped:
            asked.arrives()

    def _set_out(self, environ: Environ, started_at: float) -> Parked:
        parked = self._asked(environ, started_at)
        parked.is_walking = True
        _told_its_deadline(parked.call)
        return parked

    def _anew(self, asked: _Asked) -> _Asked:
        parked = asked.parked
        asked.call.leave()  # its place among those in flight is the new one's
        environ = parked.environ
        environ["wsgi.input"].seek(0)
        call = self._lane.call_of(environ, parked.route, int(environ["CONTENT_LENGTH"]))
        call.request_id, call.standings = asked.call.request_id, asked.call.standings
        _told_its_deadline(call)
        parked.call = call
        return _Asked(parked, call, asked.over)

    def _held_up(self, walk: _Walk) -> list[_Asked]:
        model = self._services.runner.watchdog.hangs_in(walk.thread)
        if model is None:
            return []
        return [
            asked
            for asked in walk.together
            if not asked.is_left
            and asked.parked.late is None
            and asked.call.job is None
            and getattr(asked.call, "model", None) is not model
        ]

    def _wait(self, asked: Iterable[_Asked]) -> None:
        """Until a walker takes them along; the lock is held."""
        self._waiting.extend(asked)
        now = monotonic()
        on_their_way = sum(now - walk.since < _HELD_UP_SECONDS for walk in self._walks)
        if on_their_way < _WALKERS and len(self._walks) < self._most:
            self._begin(_Walk(now))

    def _begin(self, walk: _Walk) -> None:
        try:
            self._threads.begin(partial(self._go, walk))
        except RuntimeError:  # no thread to be had: those who wait are told at their deadlines, or walk with others
            log.exception("a request cannot be walked down")
        else:
            self._walks.add(walk)

    def _go(self, walk: _Walk) -> None:
        """In a thread: as long as somebody waits."""
        walk.thread = get_ident()
        while True:
            with self._lock:
                together = [self._waiting.popleft() for _ in range(min(_MOST_TOGETHER, len(self._waiting)))]
                walk.together, walk.since = together, monotonic()
                if not together:
                    self._walks.discard(walk)
                    return
            self._walk_together(together)

    def _walk_together(self, together: Sequence[_Asked]) -> None:
        going = {asked.call: asked for asked in together if asked.parked.late is None}
        try:
            walk(list(going), self._services, lambda call: going[call].arrives())
        except Exception as error:  # noqa: BLE001 - for those who asked
            for call in [call for call in going if call.job is None]:
                call.stopped_by = error
                call.leave()
        for asked in together:
            self._has_walked(asked)

    def _has_walked(self, asked: _Asked) -> None:
        """Hand over an answer, or drop one that nobody waits for any more; where a model runs, that hands it over."""
        parked, call = asked.parked, asked.call
        with self._lock:
            if asked.is_left:
                return
            parked.is_walking = False
        if parked.late is not None:
            super().give_up(parked)
            call.leave()
        elif call.job is None:
            asked.arrives()


def _told_its_deadline(call: Call) -> None:
    with suppress(Refusal):  # which is for the step that reads it
        call.deadline = call.deadline.within(call.request_timeout, call.arrived_at)
