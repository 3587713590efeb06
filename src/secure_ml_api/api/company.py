"""The fast lane for requests that have come at once: they walk down the spine together, and none holds a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from ..errors import DeadlineExceeded
from ..inference.call import Call
from ..inference.together import arrive, walk
from ..telemetry.request_ids import current_request_id
from .answering import Headers, answer_stopped, count, log_seen
from .lane import AFTERWARDS, Environ, FastLane, Route, at_once, head_of, route_of, seen_of

WsgiAnswer = tuple[str, Headers, bytes]
"""Status line, header fields and body."""

# Longer bodies are worth a thread unless their model is quick: all other requests wait while they are read.
_MOST_PARKED_BYTES = 64 * 1024


class Parked:
    """A request; it is handed out when its model runs elsewhere and its answer comes later."""

    __slots__ = ("afterwards", "call", "environ", "is_walking", "late", "path", "route", "started_at")

    def __init__(self, call: Call, route: Route, environ: Environ, started_at: float) -> None:
        self.call = call
        self.route = route
        self.environ = environ
        self.path: str = environ["PATH_INFO"]
        self.afterwards: Callable[[Callable[[], None]], None] = environ.get(AFTERWARDS, at_once)
        self.started_at = started_at
        self.is_walking = False
        """Whether another thread than the one that serves all connections has it, or will."""
        self.late: DeadlineExceeded | None = None
        """What its caller is told while that goes on."""

    @property
    def deadline(self) -> float:
        """The second of the monotonic clock in which its caller stops waiting."""
        return self.call.deadline.at


class Company:
    """What ``lane`` does with several requests; for one thread."""

    def __init__(self, lane: FastLane) -> None:
        self._lane = lane
        self._services = lane.services

    def takes(self, method: str, path: str, body_bytes: int) -> bool:
        """Whether such a request is answered here although its model may not be quick.

        While a model is on trial its runs are timed where they are waited for: in threads.
        """
        registry = self._services.registry
        route = route_of(path) if method == "POST" else None
        return route is not None and body_bytes <= _MOST_PARKED_BYTES and not registry.has_trials

    def answer(self, environs: Sequence[Environ], over: Callable[[Parked], None]) -> list[WsgiAnswer | Parked]:
        """An answer to each predict request, all of which tell their length; or the request itself, parked.

        ``over`` is called with a parked one, in any thread, when it can ``arrive``.
        """
        started_at = time.perf_counter()
        self._services.metrics.in_flight_changed(len(environs))
        asked = [self._asked(environ, started_at) for environ in environs]
        of_call = {each.call: each for each in asked}
        walk([each.call for each in asked], self._services, lambda call: over(of_call[call]))
        ended = [each for each in asked if each.call.job is None]
        answers = dict(zip(ended, self._ended(ended), strict=True))
        return [answers.get(each, each) for each in asked]

    def arrive(self, parked: Sequence[Parked]) -> list[WsgiAnswer]:
        """The answers to requests whose runs are over, or that were given up."""
        arrive([each.call for each in parked if each.call.job is not None and each.late is None], self._services)
        return self._ended(parked)

    def give_up(self, parked: Parked) -> None:
        """The deadline of ``parked`` has passed, and its run is not over: it arrives without."""
        if parked.call.job is not None:
            self._services.runner.give_up(parked.call.job)

    def look(self) -> None:
        """Housekeeping, a few times a second: nothing here."""

    def _asked(self, environ: Environ, started_at: float) -> Parked:
        route = route_of(environ["PATH_INFO"])
        if route is None:
            raise LookupError("not a predict route")
        return Parked(self._lane.call_of(environ, route, int(environ["CONTENT_LENGTH"])), route, environ, started_at)

    def _ended(self, asked: Sequence[Parked]) -> list[WsgiAnswer]:
        if not asked:
            return []
        services, answers, seen = self._services, [], []
        for each in asked:
            call, error = each.call, each.late or each.call.stopped_by
            current_request_id.set(call.request_id)
            answer = call.answer if error is None else answer_stopped(error, call, services, oip=each.route.oip)
            answers.append((*head_of(answer, call), answer.body))
            seen.append(seen_of(call, each.route, each.path, answer.status, each.started_at))
        current_request_id.set(None)
        services.metrics.in_flight_changed(-len(asked))
        count(services, *seen)
        asked[0].afterwards(partial(log_seen, *seen))
        return answers
