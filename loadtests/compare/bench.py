"""How the measuring is done, the same for every workload: cores, seconds, repeats, and servers set up to be asked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .exchange import Request, check
from .models import Model, Question
from .processes import Running, free_ports, running
from .servers.registry import SERVERS
from .servers.server import Server, Site
from .trouble import CompareError
from .workloads import Contender


@dataclass(frozen=True, slots=True)
class Bench:
    """The cores of one run, its lengths, the interpreters of the opponents, and where it writes."""

    server_core: int
    generator_core: int
    seconds: int
    warm_up_seconds: int
    repeats: int
    pythons: Mapping[str, Path]
    logs: Path
    say: Callable[[str], None]

    @property
    def all_cores(self) -> set[int]:
        return {self.server_core, self.generator_core}


@dataclass(frozen=True, slots=True)
class Stand:
    """A contender's server, ready, with the request that it is asked and the answer that is right."""

    contender: Contender
    server: Server
    running: Running
    request: Request
    expected: list[int]

    def check(self) -> None:
        """Raise Unfit unless it answers as the trained model does."""
        check(self.running.port, self.request, self.server.classes, self.expected)


def two_cores() -> tuple[int, int]:
    """The core of the servers and that of the load generator; raises CompareError when there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise CompareError("two cores are needed: one for the server, one for the load generator")
    return cores[-1], cores[0]


@contextmanager
def stand(bench: Bench, contender: Contender, model: Model, question: Question, cores: set[int]) -> Iterator[Stand]:
    """``contender`` serving ``model`` on ``cores``, ready and checked to answer ``question`` rightly.

    Raises CompareError when it does not start and Unfit when it answers wrongly.
    """
    server = SERVERS[contender.server]
    port, *spare = free_ports(3)
    directory = Path(tempfile.mkdtemp(prefix=f"compare-{contender.server}-"))
    site = Site(
        python=bench.pythons[contender.server],
        directory=directory,
        port=port,
        spare_ports=(spare[0], spare[1]),
        model=model,
        workers=contender.workers,
        batching=contender.batching,
        binary=contender.binary,
        native=contender.native,
    )
    try:
        log = bench.logs / f"{model.name}-{contender.label.replace(' ', '-').replace(',', '')}.log"
        with running(server.start(site), port, log, cores) as process:
            ready = Stand(contender, server, process, server.request(site, question.rows), question.classes)
            ready.check()
            yield ready
    finally:
        shutil.rmtree(directory, ignore_errors=True)
