"""The measuring: three servers and an nginx for each number of them, all at once, asked in turns (1 2 3 1 2 3 …)."""

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
from ..profiles.measure import Bench, fetch_token
from ..profiles.works import WORKS
from ..server import LIMITS, UNLIMITED, prepare, registered_client
from . import stores

SERVERS = (1, 2, 3)
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
class Service:
    """What runs: for each number of servers those that are asked, and the nginx that asks them."""

    servers: Sequence[Running]
    redis: Running
    postgres: Running
    nginx: Mapping[int, Running]
    token: str

    def cpu_seconds(self, count: int) -> dict[str, float]:
        """CPU so far of all parts that take part when ``count`` servers are asked."""
        servers = sum(server.cpu_seconds() for server in self.servers[:count])
        others = (self.redis, self.nginx[count], self.postgres)
        return dict(zip(PARTS, (servers, *(other.cpu_seconds() for other in others)), strict=True))


@contextmanager
def serving(bench: Bench, home: Path) -> Iterator[Service]:
    """Servers with one worker each and homes of their own: copies of ``home``, with the same keys and models."""
    cores = set(bench.server_cores)
    with ExitStack() as stack:
        redis = stack.enter_context(stores.redis(bench.directory, cores))
        postgres = stack.enter_context(stores.postgres(cores))
        environ = _environ(redis.port, postgres.port)
        prepare(home, "--no-examples", environ=environ)
        client = stack.enter_context(registered_client(home, environ))
        servers = [stack.enter_context(_server(bench, home, number, environ)) for number in range(max(SERVERS))]
        nginx = {
            count: stack.enter_context(
                stores.nginx(bench.directory / f"nginx-{count}", [server.port for server in servers[:count]], cores)
            )
            for count in SERVERS
        }
        yield Service(servers, redis, postgres, nginx, fetch_token(servers[0].port, *client))


def sample(bench: Bench, service: Service, count: int) -> Sample:
    """One run through nginx to ``count`` servers, after a second of warming up; raises Unfit for a single error."""
    headers = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"}
    request = Request(f"/v1/models/{WORK.model}/predict", WORK.body, headers)
    # As many for each server, however many there are: how full a server is changes what a request costs it.
    port, connections, core = service.nginx[count].port, WORK.connections * count, bench.generator_core
    send(request, port, connections=connections, seconds=1, core=core, scheme="https")
    before = service.cpu_seconds(count)
    load = send(request, port, connections=connections, seconds=bench.seconds, core=core, scheme="https")
    after = service.cpu_seconds(count)
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


def _environ(redis_port: int, postgres_port: int) -> dict[str, str]:
    settings = {f"QUOTAS__{limit}": UNLIMITED for limit in LIMITS} | {
        "STATE__URL": f"redis://127.0.0.1:{redis_port}/0",
        "DATABASE__URL": f"postgresql://serve@127.0.0.1:{postgres_port}/postgres",
        "SERVER__TRUSTED_PROXIES": "127.0.0.1",
        "TOKENS__LIFETIME_SECONDS": "86400",
    }
    return {f"SECURE_ML_API_{name}": value for name, value in settings.items()}


@contextmanager
def _server(bench: Bench, home: Path, number: int, environ: Mapping[str, str]) -> Iterator[Running]:
    own = bench.directory / f"machine-{number}"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("run"))
    port, metrics_port = free_ports(2)
    command = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(own), "--workers", "1"]
    command += ["--port", str(port), "--metrics-port", str(metrics_port)]
    start = Start(tuple(command), "/v2/health/ready", environ)
    with running(start, port, bench.directory / f"machine-{number}.log", set(bench.server_cores)) as server:
        yield server
