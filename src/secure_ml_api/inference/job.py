"""One caller's rows on their way through a run."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from ..tensors import Tensors
from .admission import Admission
from .deadline import Deadline
from .ticket import Gate, Ticket

if TYPE_CHECKING:
    from ..models.model import Model


class Job(Ticket):
    """One caller's rows; a part of a batch. The job that leads a run also stands for the run itself."""

    __slots__ = (
        "error",
        "handle",
        "inputs",
        "is_quick",
        "model",
        "outputs",
        "over",
        "place",
        "started_at",
        "until",
        "wanted",
        "was_stopped",
    )

    place: Place
    """What its run takes; there is none while ``is_quick``."""
    over: Gate
    """Closed until its run is over."""

    def __init__(self, model: Model, inputs: Tensors, rows: int, wanted: tuple[str, ...], deadline: Deadline) -> None:
        super().__init__(deadline, model, rows)
        self.model = model
        self.inputs = inputs
        self.wanted = wanted
        self.outputs: Tensors
        self.error: BaseException | None = None
        self.started_at: float | None = None
        """When its run began, on the clock of ``time.perf_counter``."""
        self.is_quick = False
        """Whether it runs without a place, in the thread of its caller."""
        self.until = deadline.at
        """When the last of those that the run is for stops waiting, on the monotonic clock."""
        self.handle: object = None
        """By which the session can stop the run."""
        self.was_stopped = False

    def stop(self) -> None:
        """End the run early, as far as its session can; may be repeated. For other threads."""
        self.was_stopped = True
        if self.handle is not None:
            self.model.session.stop(self.handle)  # type: ignore[attr-defined]


class Bell:
    """A gate that nobody stands at: when it opens, ``ring`` is called, once."""

    __slots__ = ("_ring",)

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    def release(self) -> None:
        self._ring()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def locked(self) -> bool:
        return True


class Place:
    """A place of ``admission`` that was entered; given back exactly once, by whoever is first."""

    __slots__ = ("_admission", "_given_back")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._given_back = Lock()

    @property
    def was_given_back(self) -> bool:
        return self._given_back.locked()

    def give_back(self) -> None:
        if self._given_back.acquire(blocking=False):
            self._admission.leave()
