"""A caller who waits for a run, and where it stands."""

from __future__ import annotations

from enum import Enum, auto
from threading import Lock
from typing import Protocol

from .deadline import Deadline


class Standing(Enum):
    """Where a ticket is on its way."""

    WAITING = auto()  # in the line, or not in it yet
    SEATED = auto()  # has a place, which its owner must leave
    ABOARD = auto()  # taken along by one that has a place
    SERVED = auto()  # the run that it was taken along to is over
    LATE = auto()  # the deadline passed first; nobody touches the ticket any more


class Gate(Protocol):
    """What a lock has, and whatever else is opened by ``release``."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...

    def locked(self) -> bool: ...


class Ticket:
    """One caller at the admission, used once: ``rows`` of one ``kind``, wanted until ``deadline``.

    Tickets of the same kind, compared by identity, may share a run; None is never shared. ``client`` is whose they are.
    """

    __slots__ = ("client", "deadline", "gate", "kind", "rows", "standing", "turn")

    def __init__(self, deadline: Deadline, kind: object | None = None, rows: int = 1) -> None:
        self.deadline = deadline
        self.kind = kind
        self.rows = rows
        self.client = ""
        self.turn = 0  # in which of the rounds, in each of which every client has one
        self.standing = Standing.WAITING
        self.gate: Gate = Lock()  # closed while there is nothing to do for this caller
        self.gate.acquire()
