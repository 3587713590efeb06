"""How much work a worker takes in, and in which order: the one place where callers wait for each other.

There are so many places, each good for one run at a time. Who finds one free goes in; the others stand in one line, up
to a bound (see ``lines``), and are refused beyond it. In the line clients take turns, and of one client who came first
goes first. A place that comes free is handed to the head of the line: nobody from outside passes those who wait.
Whoever has a place may take others out of the line along into the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from threading import TIMEOUT_MAX, Lock

from ..errors import DeadlineExceeded
from .deadline import Deadline
from .lines import Lines
from .ticket import Standing, Ticket


class Admission:
    """Bounds of one worker; safe to build before a fork."""

    def __init__(self, max_concurrent_runs: int, max_waiting: int) -> None:
        self._free = max_concurrent_runs
        self._lines = Lines(max_concurrent_runs, max_waiting)
        self._line: deque[Ticket] = deque()  # in the order of their turns
        self._turn = 0  # of who left the line for a place last
        self.freed = 0
        """How often room was made, by whoever left: as long as it is the same, there is no more of it than before."""
        # Kinds whose leader waits for company: (leader, rows that its run has room for). Others of the kind join it
        # rather than take a free place.
        self._lingering: dict[object, tuple[Ticket, int]] = {}
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._line)

    def enter(self, ticket: Ticket) -> bool:
        """Wait for a place; True with one, which must be left, False when another has taken ``ticket`` along.

        Raises Overloaded at once when too many wait, DeadlineExceeded when the deadline passes first, be it in the
        line or in another's run.
        """
        return self.line_up(ticket) or self._wait(ticket)

    def line_up(self, ticket: Ticket) -> bool:
        """Without waiting: True with a place, which must be left; False in the line, where the gate opens in time.

        By then the ticket says where it stands. The gate opens under a lock: what that sets off may not come back here,
        and must be quick. Raises Overloaded when too many wait.
        """
        with self._lock:
            if self._free and ticket.kind not in self._lingering:
                self._free -= 1
                ticket.standing = Standing.SEATED
                self._lines.served(ticket.kind)
                return True
            self._lines.check(ticket.kind, ticket.client, self._line)
            self._queue(ticket)
            if ticket.kind in self._lingering:
                self._join(ticket.kind)
        return False

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for ``ticket`` any more: it leaves the line, or its part of a run; a place it keeps."""
        with self._lock:
            if ticket.standing is Standing.WAITING and ticket in self._line:
                self._line.remove(ticket)
                self.freed += 1
            if ticket.standing in {Standing.WAITING, Standing.ABOARD}:
                ticket.standing = Standing.LATE

    def check(self, kind: object, client: str, on_the_way: Collection[str] = ()) -> None:
        """Raise Overloaded if a ticket of ``client`` would be refused now.

        With ``on_the_way``, the clients of those who are known to be coming, also if there are enough of them.
        """
        with self._lock:
            if self._line:
                self._lines.check(kind, client, self._line)
            if on_the_way:
                self._lines.check_way(kind, client, on_the_way, self._line)

    def refused(self, kind: object, client: str, times: int) -> None:
        """``client`` was refused so many ``times`` as it had been told that there is no room."""
        with self._lock:
            self._lines.refused(kind, client, times)

    def has_no_room(self) -> None:
        """The worker has no room for another request: from now on whoever waits for most of it waits less."""
        with self._lock:
            self._lines.has_no_room(self._line)

    def leave(self) -> None:
        """Give a place back: it goes to whoever waits longest."""
        with self._lock:
            self._free += 1
            self.freed += 1
            self._seat()

    @contextmanager
    def admitted(self, deadline: Deadline) -> Iterator[None]:
        """A place for a run that is not shared; raises as ``enter`` does."""
        self.enter(Ticket(deadline))
        try:
            yield
        finally:
            self.leave()

    def company(self, leader: Ticket, most_rows: int, linger_seconds: float = 0.0) -> list[Ticket]:
        """Take along those of ``leader``'s kind, in the order of the line, until the next would exceed ``most_rows``.

        ``leader`` has a place; with ``linger_seconds`` it waits that long at most for its run to fill. Every ticket
        taken must be handed to ``serve`` or ``send_back``.
        """
        room = most_rows - leader.rows
        lingers = linger_seconds > 0 and self._linger(leader, room, linger_seconds)
        taken: list[Ticket] = []
        with self._lock:
            if lingers:
                del self._lingering[leader.kind]
            if leader.kind is None or not self._line:
                return taken
            staying: deque[Ticket] = deque()
            for ticket in self._line:
                if ticket.kind is not leader.kind or room <= 0:
                    staying.append(ticket)
                elif ticket.deadline.remaining_seconds() <= 0:
                    self._let_go(ticket, Standing.LATE)
                elif ticket.rows <= room:
                    ticket.standing = Standing.ABOARD
                    room -= ticket.rows
                    taken.append(ticket)
                else:
                    staying.append(ticket)
                    room = 0  # no smaller one behind it goes first
            self._line = staying
            self.freed += len(taken)
            self._lines.shared(leader.kind, taken)
            self._seat()
        return taken

    def serve(self, company: Sequence[Ticket]) -> None:
        """The run that ``company`` was taken along to is over; those who are not late find their answers."""
        with self._lock:
            for ticket in company:
                if ticket.standing is Standing.ABOARD:
                    self._let_go(ticket, Standing.SERVED)

    def send_back(self, company: Sequence[Ticket]) -> None:
        """Back to the head of the line, in order: from now on each of ``company`` runs alone."""
        with self._lock:
            for ticket in reversed(company):
                if ticket.standing is Standing.ABOARD:
                    ticket.standing = Standing.WAITING
                    ticket.kind = None
                    self._line.appendleft(ticket)
            self._seat()

    def _queue(self, ticket: Ticket) -> None:
        """Put ``ticket`` into the line, behind those whose turn is not later; the lock is held.

        Its turn is the one after its client's last in the line, or after the one that is being served: so a client who
        fills the line waits for itself alone (S. J. Golestani, "A Self-Clocked Fair Queueing Scheme", 1994).
        """
        line = self._line
        ticket.turn = 1 + next((other.turn for other in reversed(line) if other.client == ticket.client), self._turn)
        behind = sum(1 for _ in takewhile(lambda other: other.turn > ticket.turn, reversed(line)))
        line.insert(len(line) - behind, ticket)

    def _wait(self, ticket: Ticket) -> bool:
        came = False
        try:
            came = ticket.gate.acquire(timeout=min(max(0.0, ticket.deadline.remaining_seconds()), TIMEOUT_MAX))
        finally:  # not only late: a signal may end the wait of a main thread
            if not came:
                self._give_up(ticket)
        if ticket.standing is Standing.LATE:
            raise DeadlineExceeded("the deadline passed while the request waited for its run")
        return ticket.standing is Standing.SEATED

    def _give_up(self, ticket: Ticket) -> None:
        with self._lock:
            if ticket.standing is Standing.SERVED:
                return  # the answer came while the lock was waited for
            if ticket.standing is Standing.SEATED:
                self._free += 1
            elif ticket.standing is Standing.WAITING:
                self._line.remove(ticket)
            ticket.standing = Standing.LATE
            self.freed += 1
            self._seat()

    def _seat(self) -> None:
        """Hand free places to the head of the line; the lock is held."""
        if not self._free or not self._line:
            return
        staying: deque[Ticket] = deque()
        while self._free and self._line:
            ticket = self._line.popleft()
            if ticket.kind in self._lingering:
                staying.append(ticket)
            elif ticket.deadline.remaining_seconds() <= 0:
                self._let_go(ticket, Standing.LATE)
            else:
                self._free -= 1
                self._lines.served(ticket.kind)
                self._turn = max(self._turn, ticket.turn)
                self._let_go(ticket, Standing.SEATED)
        self._line.extendleft(reversed(staying))

    def _linger(self, leader: Ticket, room: int, seconds: float) -> bool:
        """Wait until the line holds ``room`` rows for ``leader``; False when there is nothing to wait for."""
        with self._lock:
            if leader.kind is None or leader.kind in self._lingering or self._rows_in_line(leader.kind) >= room:
                return False
            self._lingering[leader.kind] = (leader, room)
        leader.gate.acquire(timeout=max(0.0, min(seconds, leader.deadline.remaining_seconds())))
        return True

    def _join(self, kind: object) -> None:
        """Wake the leader that lingers for ``kind`` once its run is full; the lock is held."""
        leader, room = self._lingering[kind]
        if self._rows_in_line(kind) >= room and leader.gate.locked():
            leader.gate.release()

    def _rows_in_line(self, kind: object) -> int:
        return sum(ticket.rows for ticket in self._line if ticket.kind is kind)

    @staticmethod
    def _let_go(ticket: Ticket, standing: Standing) -> None:
        ticket.standing = standing
        ticket.gate.release()
