"""The fast lane for requests that have come at once, where they are charged on another machine: threads walk them.

The thread that serves all connections does not wait for other machines. It leaves requests to a few walkers, each of
which takes all that wait down the spine together: so the busier a worker is, the more of them are charged in one round
trip, which costs the interpreter as much as all else that is done for a quick prediction.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from threading import Lock
from time import monotonic, perf_counter

from ..errors import DeadlineExceeded, Refusal
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


class Walkers(Company):
    """Company in up to ``most`` threads; for one thread, as that is."""

    def __init__(self, lane: FastLane, most: int) -> None:
        super().__init__(lane)
        self._most = most
        self._threads = RunThreads()
        self._lock = Lock()
        self._waiting: deque[tuple[Parked, Over]] = deque()
        self._since: dict[int, float] = {}  # when each walker set out last
        self._numbers = count()

    def answer(self, environs: Sequence[Environ], over: Over) -> list[Parked]:  # type: ignore[override]
        """The requests themselves, all of them parked; ``over`` is called with each when it can ``arrive``."""
        started_at = perf_counter()
        asked = [self._set_out(environ, started_at) for environ in environs]
        self._services.metrics.in_flight_changed(len(asked))
        with self._lock:
            self._waiting.extend((each, over) for each in asked)
            walker = self._next_walker()
        if walker is not None:
            self._begin(walker)
        return asked

    def give_up(self, parked: Parked) -> None:
        """The deadline of ``parked`` has passed, wherever it is: it arrives without an answer."""
        with self._lock:
            if parked.is_walking:
                parked.late = DeadlineExceeded("the deadline passed before the model was asked")
                return
        super().give_up(parked)

    def _set_out(self, environ: Environ, started_at: float) -> Parked:
        parked = self._asked(environ, started_at)
        parked.is_walking = True
        call = parked.call
        with suppress(Refusal):  # which is for the step that reads it
            call.deadline = call.deadline.within(call.request_timeout, call.arrived_at)
        return parked

    def _begin(self, walker: int) -> None:
        try:
            self._threads.begin(partial(self._walk, walker))
        except RuntimeError:  # no thread to be had: those who wait are told at their deadlines, or walk with others
            with self._lock:
                del self._since[walker]
            log.exception("a request cannot be walked down")

    def _next_walker(self) -> int | None:
        """The number of one more, if one more is of use; the lock is held."""
        now = monotonic()
        on_their_way = sum(now - since < _HELD_UP_SECONDS for since in self._since.values())
        if on_their_way >= _WALKERS or len(self._since) >= self._most:
            return None
        number = next(self._numbers)
        self._since[number] = now
        return number

    def _walk(self, walker: int) -> None:
        """In a thread: as long as somebody waits."""
        while True:
            with self._lock:
                together = [self._waiting.popleft() for _ in range(min(_MOST_TOGETHER, len(self._waiting)))]
                if not together:
                    del self._since[walker]
                    return
                self._since[walker] = monotonic()
            self._walk_together(together)

    def _walk_together(self, together: Sequence[tuple[Parked, Over]]) -> None:
        going = {each.call: partial(over, each) for each, over in together if each.late is None}
        try:
            walk(list(going), self._services, lambda call: going[call]())
        except Exception as error:  # noqa: BLE001 - for those who asked
            for call in [call for call in going if call.job is None]:
                call.stopped_by = error
                call.leave()
        for each, over in together:
            self._has_walked(each, over)

    def _has_walked(self, each: Parked, over: Over) -> None:
        """Hand over an answer, or drop one that nobody waits for any more; where a model runs, that hands it over."""
        with self._lock:
            each.is_walking = False
        if each.late is not None:
            super().give_up(each)
            each.call.leave()
        elif each.call.job is None:
            over(each)
