"""The rooms below the spine as fakes that write down, in order, what the spine asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.auth.principal import Principal
from secure_ml_api.errors import ModelNotFound, QuotaExceeded, Refusal
from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.drift import Drift
from secure_ml_api.inference.runner import Runner
from secure_ml_api.inference.services import Services
from secure_ml_api.inference.spine import GUARD, STEPS
from secure_ml_api.models.pace import Pace
from secure_ml_api.models.reference import Reference
from secure_ml_api.quota.limiter import Asked
from secure_ml_api.quota.standings import Charge, Standing
from secure_ml_api.setting_sections import BatchingSettings
from secure_ml_api.telemetry.metrics import Metrics
from secure_ml_api.tensors import Signature, Tensors
from secure_ml_api.wire.rows import ROWS
from support.signatures import IRIS

CALLER = Principal(
    client_id="caller",
    scopes=frozenset({"predict:iris"}),
    token_id="t1",
    expires_at=2**40,
    requests="10/minute",
    rows="20/minute",
    concurrency=3,
)
GOOD_TOKEN = "Bearer good"
ROW = b'{"features": [1, 2, 3, 4]}'


@dataclass
class FakeAuthenticator:
    """Knows one token; any other header gets ``refusal``."""

    asked: list[str]
    principal: Principal = CALLER
    refusal: Refusal | None = None

    def authenticate(self, authorization: str | None, ask_first: Callable[[], object] = lambda: None) -> Principal:
        ask_first()
        self.asked.append("authenticate")
        if self.refusal is not None:
            raise self.refusal
        return self.principal


@dataclass
class FakeLease:
    released: int = 0

    def release(self) -> None:
        self.released += 1


@dataclass
class FakeLimiter:
    """Counts what is charged; the quotas in ``used_up`` refuse."""

    asked: list[str]
    used_up: set[str] = field(default_factory=set)
    known: bool = False
    """Whether this process knows already what is used up."""
    charged: list[tuple[str, Charge]] = field(default_factory=list)
    leases: list[FakeLease] = field(default_factory=list)

    def peek(self, subject: str, charges: Sequence[Charge]) -> tuple[Standing, ...]:
        self.asked.append(f"peek {charges[0].name}")
        return self._standings(charges)

    def check(self, subject: str, charge: Charge) -> None:
        self.asked.append(f"check {charge.name}")
        if self.known:
            self._standings((charge,))

    def admit(self, subject: str, charges: Sequence[Charge], places: int) -> tuple[tuple[Standing, ...], FakeLease]:
        lease = self.enter(subject, places)
        try:
            return self.charge(subject, charges), lease
        except QuotaExceeded:
            lease.release()
            raise

    def admit_each(self, asked: Sequence[Asked]) -> None:
        """Each is to be admitted by itself."""

    admit_apart = admit_each

    def charge(self, subject: str, charges: Sequence[Charge]) -> tuple[Standing, ...]:
        self.asked.append(f"charge {' and '.join(charge.name for charge in charges)}")
        standings = self._standings(charges)
        self.charged.extend((subject, charge) for charge in charges)
        return standings

    def enter(self, subject: str, limit: int) -> FakeLease:
        self.asked.append("enter")
        if "in flight" in self.used_up:
            raise QuotaExceeded("too many", 1)
        self.leases.append(FakeLease())
        return self.leases[-1]

    def _standings(self, charges: Sequence[Charge]) -> tuple[Standing, ...]:
        standings = tuple(Standing(charge.name, 10, 60, 5, 30) for charge in charges)
        if self.used_up & {charge.name for charge in charges}:
            raise QuotaExceeded("used up", 30, standings=standings)
        return standings


@dataclass
class FakeSession:
    """Answers every row with the last class, or raises ``failure``."""

    asked: list[str]
    failure: BaseException | None = None
    during: Callable[[], None] = lambda: None

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        self.asked.append("run")
        self.during()
        if self.failure is not None:
            raise self.failure
        rows = len(inputs["input"])
        made: Tensors = {
            "label": np.full(rows, 2),
            "probabilities": np.tile(np.array([0.25, 0.25, 0.5], np.float32), (rows, 1)),
        }
        return {name: made[name] for name in outputs}


@dataclass
class FakeManifest:
    """A model's own wishes; by default none."""

    batching: str | None = None
    max_batch_rows: int | None = None
    max_batch_delay_seconds: float | None = None
    reference: Reference | None = None


@dataclass(eq=False)
class FakeModel:
    session: Any
    name: str = "iris"
    version: str = "1"
    digest: str = "sha256:0"
    signature: Signature = IRIS
    manifest: FakeManifest = field(default_factory=FakeManifest)
    pace: Pace | None = None


@dataclass
class FakeRegistry:
    asked: list[str]
    model: FakeModel
    refusal: Refusal | None = None
    has_trials = False

    def resolve(self, name: str, version: str | None, caller: str | None = None) -> FakeModel:
        self.asked.append("resolve")
        if self.refusal is not None:
            raise self.refusal
        if name != self.model.name:
            raise ModelNotFound("there is no such model")
        return self.model


@dataclass
class FakeAudit:
    events: list[dict[str, Any]] = field(default_factory=list)

    def record(self, event: str, **details: Any) -> None:
        self.events.append({"event": event} | details)


class Rooms:
    """All fakes over one list ``asked``, real admission and real metrics."""

    def __init__(self, *, runs: int = 1, waiting: int = 0) -> None:
        self.asked: list[str] = []
        self.authenticator = FakeAuthenticator(self.asked)
        self.limiter = FakeLimiter(self.asked)
        self.session = FakeSession(self.asked)
        self.registry = FakeRegistry(self.asked, FakeModel(self.session))
        self.audit = FakeAudit()
        self.metrics = Metrics()
        self.admission = Admission(runs, waiting)
        self.runner = Runner(self.admission, BatchingSettings())
        self.drift = Drift()

    def services(self) -> Services:
        return Services(
            authenticator=cast("Any", self.authenticator),
            limiter=cast("Any", self.limiter),
            registry=cast("Any", self.registry),
            runner=self.runner,
            metrics=self.metrics,
            audit=cast("Any", self.audit),
            quotas=QuotasSettings(),
            max_rows=100,
            body_limit_bytes=10_000,
            steps=STEPS,
            guard=GUARD,
            drift=self.drift,
        )

    def call(self, body: bytes = ROW, *, model_name: str = "iris", seconds: float = 60.0, **changes: Any) -> Call:
        """A good call, unless ``changes`` say otherwise."""

        def read_body() -> bytes:
            self.asked.append("read body")
            return body

        given: dict[str, Any] = {
            "authorization": GOOD_TOKEN,
            "address": "192.0.2.1",
            "request_id": "r1",
            "version": None,
            "dialect": ROWS,
            "read_body": read_body,
            "content_type": "application/json",
            "content_encoding": "",
            "accept": "*/*",
            "accept_encoding": "",
            "inference_header_length": "",
            "deadline": Deadline.after(seconds),
        }
        return Call(model_name=model_name, **(given | changes))

    def counted(self, sample: str) -> float:
        """The value of one line of the metrics, 0 while there is none."""
        text = self.metrics.exposition()[0].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(sample + " "))
