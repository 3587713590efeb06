"""What is compared: each work with its contenders, and the ratios that this server has promised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .models import SLOW

Measure = Literal["requests/s", "p99", "PSS", "ready"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One server in one set-up; ``label`` is its row in the table."""

    server: str
    label: str
    binary: bool = False
    native: bool = False
    batching: bool = False
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about the first contender's ``measure``.

    ``than`` is the contender it is compared with: at least ``bound`` times its requests/s, at most ``bound`` times its
    memory. Without it the bound is absolute: milliseconds for p99, seconds for the time to ready.
    """

    measure: Measure
    bound: float
    than: str = ""

    @property
    def words(self) -> str:
        if self.measure == "requests/s":
            return f"≥ {self.bound:g} × {self.than}"
        if self.measure == "PSS":
            return f"≤ {self.bound:g} × {self.than}"
        return f"{self.measure} ≤ {self.bound:g} {'ms' if self.measure == 'p99' else 's'}"


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the comparison. The first of ``contenders`` is this server."""

    key: str
    title: str
    model: str
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...]
    rows: int = 1
    connections: int = 16
    kind: Literal["throughput", "memory", "ready"] = "throughput"


_OURS = Contender("ours", "secure-ml-api")
_FASTAPI = Contender("fastapi", "FastAPI + uvicorn")
_MLSERVER = Contender("mlserver", "MLServer")
_BENTOML = Contender("bentoml", "BentoML")
_LITSERVE = Contender("litserve", "LitServe")
_FLASK = Contender("flask", "Flask + JWT + Limiter")


def _times(bound: float, than: Contender) -> Target:
    return Target("requests/s", bound, than.label)


_UNBATCHED = replace(_OURS, label="secure-ml-api, no batching")
_NATIVE = replace(_MLSERVER, native=True, label="MLServer, scikit-learn runtime")
_PLAIN_BENTOML = replace(_BENTOML, native=True, label="BentoML, as documented")
_MLSERVER_JSON = replace(_MLSERVER, label="MLServer, JSON")

WORKLOADS: tuple[Workload, ...] = (
    Workload(
        key="row",
        title="One row, a decision tree; ours with token, both quotas, validation, metrics, access log",
        model="tree",
        contenders=(_OURS, _FASTAPI, _MLSERVER, _LITSERVE, _BENTOML, _PLAIN_BENTOML, _FLASK),
        targets=(_times(2, _FASTAPI), _times(5, _MLSERVER), _times(15, _BENTOML)),
    ),
    Workload(
        key="forest",
        title="One row, a forest of 100 trees as its user would deploy it; ours by `models pack` with no options",
        model="forest",
        contenders=(_OURS, _NATIVE),
        targets=(_times(50, _NATIVE),),
    ),
    Workload(
        key="json",
        title="1000 rows × 30 numbers as JSON, a decision tree",
        model="wide",
        rows=1000,
        contenders=(_OURS, _MLSERVER, _FASTAPI, _BENTOML, _LITSERVE, _FLASK),
        targets=(_times(2, _MLSERVER),),
    ),
    Workload(
        key="binary",
        title="1000 rows × 30 numbers as a binary tensor, beside MLServer's JSON",
        model="wide",
        rows=1000,
        contenders=(replace(_OURS, binary=True, label="secure-ml-api, binary"), _MLSERVER_JSON),
        targets=(_times(8, _MLSERVER_JSON),),
    ),
    Workload(
        key="slow",
        title="A model of 5 ms a call and 6 ms a call of 32 rows, 64 callers of one row; batches of 32 rows or 2 ms",
        model=SLOW,
        connections=64,
        contenders=(
            replace(_OURS, batching=True),
            _UNBATCHED,
            replace(_LITSERVE, batching=True),
            replace(_MLSERVER, batching=True),
            replace(_BENTOML, batching=True),
        ),
        targets=(_times(10, _UNBATCHED), Target("p99", 24)),
    ),
    Workload(
        key="memory",
        title="Memory of four workers with a 200 MB ONNX model, each warm",
        model="big",
        kind="memory",
        contenders=tuple(
            replace(contender, workers=workers, label=f"{contender.label}, {words}")
            for contender in (_OURS, _FASTAPI, _MLSERVER)
            for workers, words in ((4, "4 workers"), (1, "1 worker"))
        ),
        targets=(Target("PSS", 1.3, "secure-ml-api, 1 worker"),),
    ),
    Workload(
        key="ready",
        title="From the command to the first 200 of the readiness probe; ours with its five example models",
        model="tree",
        kind="ready",
        contenders=(_OURS, _FASTAPI, _MLSERVER, _LITSERVE, _BENTOML, _FLASK),
        targets=(Target("ready", 2.0),),
    ),
)
