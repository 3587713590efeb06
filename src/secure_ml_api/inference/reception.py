"""What a server asks before it gives a request to the application, so that a refusal costs next to nothing.

A request that is refused in the middle of the spine has been handed to a thread, parsed and authenticated; ten times
more requests than can be served would leave no time to serve any. So whoever was refused for want of room is remembered
for a second, and told the same without all that as long as there is no room. Nobody else is told anything here: what is
overloaded is for those to know who have shown that they may ask for it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from ..errors import Overloaded
from .call import Call
from .overload import Overload
from .runner import Runner

_REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 4096

Target = tuple[str, str | None]
"""The name of a model and a version, as a caller wrote them."""


class _Refused(NamedTuple):
    until: float
    kind: object
    client: str


class Reception:
    """One worker's: ``overload`` is the state of the worker, ``locate`` finds out which model a path is about."""

    def __init__(
        self,
        runner: Runner | None = None,
        locate: Callable[[str], Target | None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.overload = Overload(clock)
        self._runner = runner
        self._locate = locate
        self._clock = clock
        self._refused: dict[tuple[str | None, Target], _Refused] = {}
        self._handed: dict[object, tuple[int, str]] = {}
        self._full_at = -1  # how often room had been made when somebody found none in this turn

    @property
    def is_alert(self) -> bool:
        """Whether anybody could be turned away: nothing needs to be asked as long as this is False."""
        return self.overload.is_strict or bool(self._refused)

    @property
    def freed(self) -> int:
        """How often room was made in the lines: as long as it is the same, there is no more of it than before."""
        return self._runner.admission.freed if self._runner is not None else 0

    @property
    def with_models(self) -> int:
        """How many requests, each in a thread, wait for a run or for its end, and use no CPU of their own."""
        return len(self._runner.inside) if self._runner is not None else 0

    def overdue(self, now: float) -> set[int]:
        """The threads, by identifier, in runs whose callers had stopped waiting at the second ``now``."""
        return self._runner.watchdog.overdue(now) if self._runner is not None else set()

    def remember(self, call: Call) -> None:
        """``call`` was refused by the admission."""
        if len(self._refused) < _MOST_REMEMBERED:
            key = (call.authorization, (call.model_name, call.version))
            until = self._clock() + _REMEMBERED_SECONDS
            self._refused[key] = _Refused(until, call.model, call.principal.client_id)

    def turned_away(self, path: str, authorization: str | None, holder: object | None = None) -> int | None:
        """For how many seconds the caller had better stay away; None when the request should be looked at.

        With a ``holder`` it is then on its way to the model, until ``forget``: what is on its way finds no line that
        others have filled meanwhile.
        """
        self._handed.pop(holder, None)
        target = self._locate(path) if self._refused else None
        if target is None or self._runner is None:
            return None
        freed = self.freed
        refused = self._refused.get((authorization, target))
        if refused is None or self._clock() >= refused.until:
            return None
        kind = id(refused.kind)
        on_the_way = [client for of, client in self._handed.values() if of == kind]
        try:
            self._runner.admission.check(refused.kind, refused.client, on_the_way)
        except Overloaded as overloaded:
            self._full_at = freed
            return overloaded.retry_after_seconds
        if holder is not None:
            self._handed[holder] = kind, refused.client
        return None

    @property
    def will_make_room(self) -> bool:
        """Whether somebody found no room in this turn, none was made since, and runs are under way whose end does."""
        return self._full_at == self.freed and self.with_models > 0

    def begin_turn(self) -> None:
        """From now on whoever found no room may find some."""
        self._full_at = -1

    def turned_away_again(self, path: str, authorization: str | None, times: int) -> None:
        """Those whom ``turned_away`` told when to come back were told so again, so many ``times``, unasked."""
        target = self._locate(path)
        refused = self._refused.get((authorization, target)) if target is not None else None
        if refused is not None and self._runner is not None:
            self._runner.admission.refused(refused.kind, refused.client, times)

    def forget(self, holder: object) -> None:
        """The request of ``holder`` is answered."""
        self._handed.pop(holder, None)

    def has_no_room(self) -> None:
        """The server has as many requests in hand as it can hold."""
        self.overload.has_no_room()
        if self._runner is not None:
            self._runner.admission.has_no_room()

    def look(self) -> None:
        """Housekeeping, a few times a second."""
        self.overload.look()
        now = self._clock()
        for key in [key for key, refused in self._refused.items() if now >= refused.until]:
            del self._refused[key]
