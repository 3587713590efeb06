"""What the server serves, as the few calls that it makes: the seam between processes and the application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..inference.reception import Reception
from ..settings import Settings

Environ = dict[str, Any]
WsgiAnswer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, header fields and body."""


class Parked(Protocol):
    """A request that waits for something without a thread."""

    @property
    def deadline(self) -> float:
        """The second of the monotonic clock in which its caller stops waiting."""
        ...


class Company(Protocol):
    """What answers several requests at once; for the thread that serves all connections."""

    def takes(self, method: str, path: str, body_bytes: int) -> bool:
        """Whether such a request may come here although its answer has to be waited for."""
        ...

    def answer(self, environs: Sequence[Environ], over: Callable[[Any], None]) -> Sequence[WsgiAnswer | Parked]:
        """An answer for each, or what is parked, for which ``over`` is called, in any thread, when it can arrive."""
        ...

    def arrive(self, parked: Sequence[Any]) -> Sequence[WsgiAnswer]:
        """The answers to requests that were parked, and are over or given up."""
        ...

    def give_up(self, parked: Any) -> None:
        """Its deadline has passed: it arrives as it is."""
        ...

    def look(self) -> None:
        """Housekeeping, a few times a second."""
        ...


def nothing_in_place(app: Any, method: str, path: str, body_bytes: int) -> bool:  # noqa: ARG001 — takes_in_place
    """Every request needs a thread."""
    return False


def no_company(app: Any) -> Company | None:  # noqa: ARG001 — the shape of company
    """Every request is answered by itself."""
    return None


def no_relief(app: Any, ask_for_relief: Callable[[], None]) -> None:
    """It never asks to be replaced."""


def not_told(app: Any, seconds: float) -> None:
    """It need not know."""


def nobody_turned_away(app: Any) -> Reception:  # noqa: ARG001 — the shape of reception
    """The server's own bounds are all that there is."""
    return Reception()


@dataclass(frozen=True, slots=True)
class Program:
    """An application and its life in processes; ``app`` is whatever ``create`` returned, a WSGI callable."""

    create: Callable[[Settings], Any]
    """In the master, before the fork: no threads, no open sockets."""
    start_worker: Callable[[Any, int], None]
    """(app, slot) in each worker, after the fork and before its first request."""
    begin_drain: Callable[[Any], None]
    """(app) in each worker when the whole server stops: not ready any more, still answering."""
    stop_worker: Callable[[Any], None]
    """(app) in each worker, after its last request: write out what is still in memory."""
    drop_slot: Callable[[Any, int], None]
    """(app, slot) in the master, after a worker died: what it held is given back."""
    exposition: Callable[[Any], tuple[bytes, str]]
    """(app) in a worker: the metrics of all workers, and their content type."""
    takes_in_place: Callable[[Any, str, str, int], bool] = nothing_in_place
    """(app, method, path, bytes of the body) in a worker: whether the answer needs no waiting, whatever the body says.

    Such an answer may be made on the thread that serves all connections. The application tells its length and no
    field that is between server and client, such as ``Connection``.
    """

    offer_relief: Callable[[Any, Callable[[], None]], None] = no_relief
    """(app, ask_for_relief) in each worker, before it starts: what the application may call, from any thread, when a
    new worker should take over. The old one serves until then, and finishes what it has."""
    leave: Callable[[Any, float], None] = not_told
    """(app, seconds) in each worker, when it takes no more connections: in so many seconds no request that is sent then
    reaches it. Not told by Granian's, which cannot know."""
    reception: Callable[[Any], Reception] = nobody_turned_away
    """(app) in a worker: what it asks before it gives a request to the application."""
    company: Callable[[Any], Company | None] = no_company
    """(app) in a worker: what answers requests together that it takes in place and that tell their length."""


def standard_program() -> Program:
    """This package's own application."""
    from .. import app

    return Program(
        app.create_app,
        app.start_worker,
        app.begin_drain,
        app.stop_worker,
        app.drop_slot,
        app.exposition,
        app.takes_in_place,
        app.offer_relief,
        app.leave,
        app.reception,
        app.company,
    )
