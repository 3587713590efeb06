"""What the comparison has to know about a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..exchange import Reply, Request
from ..models import Model
from ..processes import Start

SHARED = Path(__file__).parent / "shared"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server is to run, and what it is to serve.

    ``directory`` is the server's to write in; ``spare_ports`` are for what it opens besides its API. With ``batching``
    it merges the rows of concurrent callers, up to 32 rows and after 2 ms at the latest.
    """

    python: Path
    directory: Path
    port: int
    spare_ports: tuple[int, int]
    model: Model
    workers: int = 1
    batching: bool = False
    binary: bool = False
    native: bool = False
    """As the server's own documentation does it: MLServer with its scikit-learn runtime, BentoML without tuning."""


class Server(Protocol):
    """One of the servers."""

    @property
    def name(self) -> str:
        """Of its folder and its environment; ``ours`` runs in this one."""
        ...

    @property
    def title(self) -> str: ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose versions are reported."""
        ...

    def start(self, site: Site) -> Start:
        """How to start it."""
        ...

    def request(self, site: Site, rows: list[list[float]]) -> Request:
        """The request for the classes of ``rows``; asked of a server that is ready."""
        ...

    def classes(self, reply: Reply) -> list[int]:
        """The classes in its answer; raises ValueError, KeyError, TypeError or IndexError when there are none."""
        ...


def model_environ(site: Site) -> dict[str, str]:
    """What the opponents' applications read: the model, how to batch, and where the shared predictor is."""
    source = site.model.name if site.model.name == "slow" else str(site.model.onnx)
    return {
        "COMPARE_MODEL": source,
        "COMPARE_BATCHING": "1" if site.batching else "",
        "COMPARE_NATIVE": "1" if site.native else "",
        "PYTHONPATH": str(SHARED),
        # One thread is all that one core can use; more would only wait on each other.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
