"""Callers in the line of one admission, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from secure_ml_api.errors import DeadlineExceeded
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.ticket import Standing, Ticket
from support.gated import until

LONG = 60.0


def started(work: Callable[[], None]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


class Crowd:
    """Callers of one admission, each in its own thread, who write down in which order they got a place."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.seated: list[str] = []
        self.refused: list[str] = []
        self._threads: list[Thread] = []

    def queue(
        self, name: str, kind: object | None = None, rows: int = 1, seconds: float = LONG, client: str = ""
    ) -> Ticket:
        """A caller who stands in the line, or has got further already."""
        ticket = Ticket(Deadline.after(seconds), kind, rows)
        ticket.client = client
        waiting = self.admission.waiting

        def work() -> None:
            try:
                if self.admission.enter(ticket):
                    self.seated.append(name)
                    self.admission.leave()
            except DeadlineExceeded:
                self.refused.append(name)

        self._threads.append(started(work))
        until(lambda: self.admission.waiting > waiting or ticket.standing is not Standing.WAITING)
        return ticket

    def disperse(self) -> None:
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()


def leading(admission: Admission, kind: object, rows: int = 1) -> Ticket:
    """Who has a place, and may take those of its kind along."""
    leader = Ticket(Deadline.after(LONG), kind, rows)
    assert admission.enter(leader)
    return leader
