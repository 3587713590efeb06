"""Requests of one worker that wait for their models without a thread; their connections count as in hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from .plain_connection import PlainConnection
from .program import Parked


class Parking:
    """For the thread that serves all connections, but for ``over``; ``wake`` makes that thread look, from any other."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._connections: dict[Parked, PlainConnection] = {}
        self._deadlines: list[tuple[float, int, Parked]] = []
        self._over: deque[Parked] = deque()
        self._is_woken = False
        self._left_alone = 0
        self._numbers = count()

    def add(self, parked: Parked, connection: PlainConnection) -> None:
        """``connection`` waits for the answer to ``parked``."""
        self._connections[parked] = connection
        heappush(self._deadlines, (parked.deadline, next(self._numbers), parked))

    def over(self, parked: Parked) -> None:
        """In any thread: the answer to ``parked`` can be made."""
        self._over.append(parked)
        if self._left_alone and len(self._connections) - len(self._over) > self._left_alone:
            return  # it will look by itself
        if not self._is_woken:  # else the loop has yet to look, and will see this one
            self._is_woken = True
            self._wake()

    def rest(self, wait: Callable[[], object]) -> None:
        """``wait``, during which nobody wakes that thread before half of those who wait now can be answered."""
        self._left_alone = (len(self._connections) + 1) // 2
        try:
            wait()
        finally:
            self._left_alone = 0

    def taken_over(self) -> list[tuple[Parked, PlainConnection]]:
        """Those that are over, and have not been late before."""
        self._is_woken = False  # before the look: whoever comes from now on wakes the loop again
        found = []
        while self._over:
            parked = self._over.popleft()
            connection = self._connections.pop(parked, None)
            if connection is not None:
                found.append((parked, connection))
        return found

    def look(self) -> None:
        """Housekeeping, a few times a second: a caller's own deadline is known when its request has been read."""
        self._deadlines = [(parked.deadline, next(self._numbers), parked) for parked in self._connections]
        heapify(self._deadlines)

    def taken_late(self, now: float) -> list[tuple[Parked, PlainConnection]]:
        """Those whose deadline has passed by ``now``, on the monotonic clock."""
        late = []
        while self._deadlines and self._deadlines[0][0] <= now:
            parked = heappop(self._deadlines)[2]
            connection = self._connections.pop(parked, None)
            if connection is not None:
                late.append((parked, connection))
        return late

    @property
    def next_deadline(self) -> float:
        """When the next of them is late; infinity when nobody waits."""
        while self._deadlines and self._deadlines[0][2] not in self._connections:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else inf
