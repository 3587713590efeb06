"""The measuring: one server by itself, and one, two and three that share their stores, asked in turns."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..compare.exchange import Request
from ..compare.generator import send
from ..compare.processes import Running, Start, free_ports, running
from ..figures_page import Bench
from ..profiles.measure import fetch_token
from ..profiles.works import WORKS
from ..server import LIMITS, UNLIMITED, prepare, registered_client
from . import stores

ALONE = "1, embedded store"
"""The server that shares nothing, beside which the others are seen."""
PARTS = ("servers", "redis", "nginx", "postgres")
WORK = WORKS[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: what was answered, and the CPU that each of ``PARTS`` took for a request, in microseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Group:
    """Servers that are asked together, the nginx that asks them, what they share, and a token that they take."""

    servers: Sequence[Running]
    nginx: Running
    shared: tuple[Running, Running]
    token: str

    def cpu_seconds(self) -> dict[str, float]:
        """CPU so far of each of ``PARTS``."""
        servers = sum(server.cpu_seconds() for server in self.servers)
        redis, postgres = self.shared
        others = (part.cpu_seconds() for part in (redis, self.nginx, postgres))
        return dict(zip(PARTS, (servers, *others), strict=True))


@contextmanager
def serving(bench: Bench, home: Path) -> Iterator[dict[str, Group]]:
    """Groups by name: of servers with one worker each and homes of their own, which are copies of ``home``."""
    cores = set(bench.server_cores)
    with ExitStack() as stack:
        redis = stack.enter_context(stores.redis(bench.directory, cores))
        postgres = stack.enter_context(stores.postgres(cores))
        alone = _environ()
        together = alone | _stores(redis.port, postgres.port)
        prepare(home, "--no-examples", environ=together)
        servers = [stack.enter_context(_server(bench, home, name, together)) for name in "123"]
        servers.append(stack.enter_context(_server(bench, home, "alone", alone)))
        tokens = {}
        for name, environ, server in (("1", together, servers[0]), ("alone", alone, servers[-1])):
            client = stack.enter_context(registered_client(bench.directory / f"machine-{name}", environ))
            tokens[name] = fetch_token(server.port, *client)
        made = {ALONE: (servers[-1:], tokens["alone"])}
        made |= {str(count): (servers[:count], tokens["1"]) for count in (1, 2, 3)}
        groups = {}
        for number, (name, (asked, token)) in enumerate(made.items()):
            ports = [server.port for server in asked]
            nginx = stack.enter_context(stores.nginx(bench.directory / f"nginx-{number}", ports, cores))
            groups[name] = Group(asked, nginx, (redis, postgres), token)
        yield groups


def sample(bench: Bench, group: Group) -> Sample:
    """One run through nginx, after a second of warming up; raises Unfit for a single error."""
    headers = {"Authorization": f"Bearer {group.token}", "Content-Type": "application/json"}
    request = Request(f"/v1/models/{WORK.model}/predict", WORK.body, headers)
    # As many for each server, however many there are: how full a server is changes what a request costs it.
    port, connections, core = group.nginx.port, WORK.connections * len(group.servers), bench.generator_core
    send(request, port, connections=connections, seconds=1, core=core, scheme="https")
    before = group.cpu_seconds()
    load = send(request, port, connections=connections, seconds=bench.seconds, core=core, scheme="https")
    after = group.cpu_seconds()
    cpu = {part: (after[part] - before[part]) / load.requests * 1e6 for part in PARTS}
    return Sample(load.per_second, load.p50_ms, load.p99_ms, cpu)


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        statistics.median(each.per_second for each in samples),
        statistics.median(each.p50_ms for each in samples),
        statistics.median(each.p99_ms for each in samples),
        {part: statistics.median(each.cpu_us[part] for each in samples) for part in PARTS},
    )


def _environ() -> dict[str, str]:
    settings = {f"QUOTAS__{limit}": UNLIMITED for limit in LIMITS} | {
        "SERVER__TRUSTED_PROXIES": "127.0.0.1",
        "TOKENS__LIFETIME_SECONDS": "86400",
    }
    return {f"SECURE_ML_API_{name}": value for name, value in settings.items()}


def _stores(redis_port: int, postgres_port: int) -> dict[str, str]:
    return {
        "SECURE_ML_API_STATE__URL": f"redis://127.0.0.1:{redis_port}/0",
        "SECURE_ML_API_DATABASE__URL": f"postgresql://serve@127.0.0.1:{postgres_port}/postgres",
    }


@contextmanager
def _server(bench: Bench, home: Path, name: str, environ: Mapping[str, str]) -> Iterator[Running]:
    own = bench.directory / f"machine-{name}"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("run"))
    port, metrics_port = free_ports(2)
    command = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(own), "--workers", "1"]
    command += ["--port", str(port), "--metrics-port", str(metrics_port)]
    start = Start(tuple(command), "/v2/health/ready", environ)
    with running(start, port, bench.directory / f"machine-{name}.log", set(bench.server_cores)) as server:
        yield server
