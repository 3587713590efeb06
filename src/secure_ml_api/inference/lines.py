"""How many callers may wait for a run of one model, and which of them are turned away first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from ..errors import Overloaded
from .overload import Overload

if TYPE_CHECKING:
    from .ticket import Ticket

# Under overload a caller waits for so many runs of its model at the most, so its answer takes three.
STRICT_RUNS = 2
# Where at least this part is refused, they come so often that one run's worth is enough for a place to find the next:
# at twice what can be served, callers at random leave a place empty for a sixteenth of the time. Below, it would be a
# fifth, and two runs' worth are better.
HEAVY_SHARE = 0.4
HEAVY_RUNS = 1
# What is drained in so short a time may wait in any case: to let in one caller at each end of a run that takes no time
# costs more than many such runs, and they are answered a little later.
LEAST_SECONDS = 0.005
# So many times as many places are left for those who ask far less than others: several may ask at the same moment.
_SPARED = 4
# How fast the mean of the callers in a run follows.
_WEIGHT = 0.1
# More lines than this are not remembered; a worker serves fewer models.
_MOST_LINES = 1024
FULL = "the server has all the work that it can finish in time"


def fits(clients: Collection[str], bound: int, *, is_modest: bool) -> bool:
    """Whether one more finds room beside those that are there, by the client of each, under ``bound``.

    One who ``is_modest`` is not kept out by the client who has most, and hardly by the others.
    """
    total = len(clients)
    return total < bound or (is_modest and total - max(Counter(clients).values(), default=0) < _SPARED * bound)


class Line:
    """What is known of those who wait for one model."""

    __slots__ = ("callers_per_run", "overload")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.callers_per_run = 1.0
        self.overload = Overload(clock)


class Lines:
    """The bound of every model's line in a worker with ``places`` to run in; the lock of the admission is held.

    As long as a model is not overloaded, ``most`` callers may wait, whatever they wait for. Then its bound is what it
    drains in STRICT_RUNS runs, or HEAVY_RUNS, by what its runs took along lately (J. Little's law: as many wait as are
    served in a second, times the seconds that each waits).
    """

    def __init__(self, places: int, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._places = places
        self._most = most
        self._clock = clock
        self._lines: dict[int, Line] = {}

    def served(self, kind: object) -> None:
        """One caller has a place for a run of ``kind``."""
        self._of(kind).overload.drain.served += 1

    def shared(self, kind: object, company: Collection[Ticket]) -> None:
        """One that has a place for a run of ``kind`` takes ``company`` along."""
        line = self._of(kind)
        line.callers_per_run += _WEIGHT * (1 + len(company) - line.callers_per_run)
        line.overload.drain.served += len(company)

    def bound(self, kind: object) -> int:
        """How many may wait for ``kind`` now."""
        line = self._of(kind)
        if not line.overload.is_strict:
            return self._most
        drain = line.overload.drain
        runs = HEAVY_RUNS if drain.refused_share >= HEAVY_SHARE else STRICT_RUNS
        callers = max(runs * self._places * line.callers_per_run, LEAST_SECONDS * drain.served_per_second)
        return min(self._most, max(1, round(callers)))

    def check_way(self, kind: object, client: str, on_the_way: Collection[str], waiting: Collection[Ticket]) -> None:
        """Raise Overloaded when one more of ``client`` is too many beside those ``on_the_way`` to a run or in one.

        Who is let on its way finds room in the line: to refuse it there, when its body has been read, costs many times
        as much, and of work that keeps a CPU busy each such refusal is taken from an answer.
        """
        line = self._of(kind)
        most = self.bound(kind) + max(1, round(self._places * line.callers_per_run))
        if not fits(on_the_way, most, is_modest=line.overload.shares.is_modest(client)):
            self.refuse(kind, waiting)

    def check(self, kind: object, client: str, waiting: Collection[Ticket]) -> None:
        """Raise Overloaded when one more of ``client`` does not fit to those ``waiting``."""
        overload = self._of(kind).overload
        overload.look()
        if overload.is_strict:
            overload.shares.asked(client)
        bound = self.bound(kind)
        if len(waiting) < bound:
            return
        clients = [ticket.client for ticket in waiting if ticket.kind is kind]
        most = self._most if len(clients) < bound else 2 * self._most
        if len(waiting) < most and fits(clients, bound, is_modest=overload.shares.is_modest(client)):
            return
        self.refuse(kind, waiting)

    def refuse(self, kind: object, waiting: Collection[Ticket]) -> NoReturn:
        """Raise Overloaded, and be strict with ``kind``."""
        line = self._of(kind)
        line.overload.has_no_room()
        line.overload.refused()
        raise Overloaded(FULL, line.overload.drain.retry_after_seconds(len(waiting)))

    def refused(self, kind: object, client: str, times: int) -> None:
        """One of ``client`` was refused so many ``times``, without having been asked about."""
        overload = self._of(kind).overload
        overload.shares.asked(client, times)
        overload.refused(times)

    def has_no_room(self, waiting: Collection[Ticket]) -> None:
        """The worker can take no more requests: strict with the model that most of its callers wait for."""
        kinds = Counter(id(ticket.kind) for ticket in waiting if ticket.kind is not None)
        for kind, _ in kinds.most_common(1):
            if kind in self._lines:
                self._lines[kind].overload.has_no_room()

    def _of(self, kind: object) -> Line:
        # By identity, and without a reference: a model that is unloaded must not live on here. That another may take
        # its place is no harm, as what is remembered is soon replaced.
        line = self._lines.get(id(kind))
        if line is None:
            if len(self._lines) >= _MOST_LINES:
                self._lines.clear()
            line = self._lines[id(kind)] = Line(self._clock)
        return line
