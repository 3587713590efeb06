"""The measuring: a server for each profile, all at once, asked one after the other in turns (A B C A B C …)."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from ..compare.exchange import Request, post
from ..compare.generator import send
from ..compare.processes import Running, Start, free_ports, running
from ..compare.trouble import CompareError
from ..figures_page import Bench
from ..server import LIMITS, UNLIMITED
from .works import Work

DEFAULT = "default"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the load generator against one profile."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    pss_mib: float


@contextmanager
def serving(bench: Bench, home: Path, name: str, profile: Path | None) -> Iterator[Running]:
    """A server on a copy of ``home`` with the settings of ``profile``, ready."""
    own = bench.directory / name
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("run"))
    if profile is not None:
        shutil.copyfile(profile, own / "config.toml")
    port, metrics_port = free_ports(2)
    command = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(own)]
    command += ["--port", str(port), "--metrics-port", str(metrics_port)]
    environ = {f"SECURE_ML_API_QUOTAS__{limit}": UNLIMITED for limit in LIMITS}
    environ |= {"SECURE_ML_API_TOKENS__LIFETIME_SECONDS": "86400"}
    start = Start(tuple(command), "/v2/health/ready", environ)
    with running(start, port, bench.directory / f"{name}.log", set(bench.server_cores)) as server:
        yield server


def fetch_token(port: int, client_id: str, client_secret: str) -> str:
    """An access token of the server at ``port``; raises CompareError when it gives none."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = post(port, Request("/oauth/token", urlencode(form).encode(), kind))
    if answer.status != 200:
        raise CompareError(f"no token: status {answer.status}")
    return str(json.loads(answer.body)["access_token"])


def sample(bench: Bench, server: Running, token: str, work: Work) -> Sample:
    """One run, after a second of warming up; raises Unfit when a single answer was an error."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(f"/v1/models/{work.model}/predict", work.body, headers)
    core = bench.generator_core
    send(request, server.port, connections=work.connections, seconds=1, core=core)
    cpu = server.cpu_seconds()
    load = send(request, server.port, connections=work.connections, seconds=bench.seconds, core=core)
    cpu = server.cpu_seconds() - cpu
    return Sample(load.per_second, load.p50_ms, load.p99_ms, cpu / load.requests * 1e6, server.pss_bytes() / _MIB)


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    columns = zip(*((s.per_second, s.p50_ms, s.p99_ms, s.cpu_us, s.pss_mib) for s in samples), strict=True)
    return Sample(*(statistics.median(column) for column in columns))
