"""One request on its way down the spine: what the door read, then what each step found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..tensors import Tensors
from ..wire.question import Answer, Dialect, Question
from .deadline import Deadline

if TYPE_CHECKING:
    from ..auth.principal import Principal
    from ..models.model import Model
    from ..quota.lease import Lease
    from ..quota.standings import Standing
    from .job import Job


@dataclass(slots=True, kw_only=True, eq=False)
class Visit:
    """Any guarded request: who says they are calling from where, and what the first steps found out."""

    authorization: str | None
    address: str
    request_id: str

    principal: Principal = field(init=False)
    standings: tuple[Standing, ...] = ()
    """Where the client stands with its quotas since this visit was charged; empty before."""
    lease: Lease | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether the principal is known."""
        return hasattr(self, "principal")

    def leave(self) -> None:
        """Give back what the visit holds; harmless when called twice."""
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.release()


@dataclass(slots=True, kw_only=True, eq=False)
class Call(Visit):
    """A predict request."""

    model_name: str
    version: str | None
    dialect: Dialect
    read_body: Callable[[], bytes]
    content_type: str
    content_encoding: str
    accept: str
    accept_encoding: str
    inference_header_length: str
    deadline: Deadline
    arrived_at: float = 0.0
    """When its first byte came, on the monotonic clock."""
    request_timeout: str = ""
    """The header field Request-Timeout, from then on; empty when there is none."""

    stopped_by: Exception | None = None
    """What ended its way down, where it goes there together with others."""
    job: Job | None = None
    """Its run, while that happens elsewhere."""
    model: Model = field(init=False)
    question: Question = field(init=False)
    outputs: Tensors = field(init=False)
    answer: Answer = field(init=False)
