"""Slow headers, slow bodies, slow readers and idle connections, each a crowd: the callers beside them are served.

With each of the server's own worker classes alone, and with the shipped nginx in front of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from support.certificates import Authority
from support.fault_table import Figures
from support.nginx_server import NginxServer
from support.open_loop import OpenLoop
from support.outcome import Outcome
from support.packages import publish
from support.request_bytes import post
from support.server import RunningServer, wait_until
from support.slow_clients import SlowClients

THREADS = 8
# So many looks at the counters, some hundredths of a second apart, that find them as they were.
LOOKS = 10
CROWDS = {
    "60 slow headers": {"headers": 60},
    "60 slow bodies": {"bodies": 60},
    "60 slow readers": {"readers": 60},
    "2000 idle connections": {"silent": 1800, "idle": 200},
}
MUST_HOLD = "all other callers are served, p99 < 2 × that without them; beside them and when they are gone"


class Front(NamedTuple):
    """Where clients connect, and how they speak there."""

    name: str
    server: RunningServer
    port: int
    authority: Authority | None
    token: str

    def load(self, rate: float, seconds: float) -> OpenLoop:
        """Single rows at a constant rate."""
        request = post("/v1/models/tiny/predict", {"features": [1, 2]}, self.token)
        return OpenLoop(self.port, request, rate=rate, seconds=seconds, connections=64, tls=self.tls)

    def crowd(self, **counts: int) -> SlowClients:
        return SlowClients(self.port, **counts, tls=self.tls)

    def settle(self) -> None:
        """Wait until a new crowd has been answered as far as it reads: that first rush is load, and nothing slow."""
        counts = ("secure_ml_api_requests_total", "secure_ml_api_rejected_total")
        answered: list[float] = []

        def is_quiet() -> bool:
            answered.append(sum(self.server.metric(name) for name in counts))
            return answered[-LOOKS:] == [answered[-1]] * LOOKS

        wait_until(is_quiet, what="the end of the first rush")

    @property
    def tls(self) -> ssl.SSLContext | None:
        return None if self.authority is None else self.authority.trusting()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one small model: this is about those who ask."""
    settings = read_settings(tmp_path / "home", {})
    prepare(settings, examples=False)
    publish(Store.of(settings))
    return settings.home


@pytest.fixture(params=["inplace", "gthread", "nginx"])
def front(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[Front]:
    """One worker with eight threads, so that a crowd that held threads would hold all of them."""
    environ = {
        "SECURE_ML_API_SERVER__WORKER_CLASS": "gthread" if request.param == "gthread" else "inplace",
        "SECURE_ML_API_SERVER__TRUSTED_PROXIES": "127.0.0.1" if request.param == "nginx" else "",
        "SECURE_ML_API_QUOTAS__ADDRESS": "1000000/minute",
        "SECURE_ML_API_TELEMETRY__ACCESS_LOG": "false",
    }
    with ExitStack() as running:
        options = ("--workers", "1", "--threads", str(THREADS))
        server = running.enter_context(RunningServer(home, *options, environ=environ))
        token = server.token(server.create_client("caller", "predict:*", rate="1000000/minute", rows="1000000/minute"))
        if request.param != "nginx":
            yield Front(f"{request.param}, no proxy", server, server.port, None, token)
            return
        authority = Authority(tmp_path / "ca")
        nginx = running.enter_context(NginxServer(tmp_path / "nginx", authority.server(), server.port))
        yield Front("inplace behind nginx", server, nginx.port, authority, token)


def assert_served(outcome: Outcome) -> None:
    """No caller is left without an answer, and next to none is turned away.

    None is by the crowd; but where the machine stands still for a moment, what was due meanwhile comes at once, and the
    server does not let all of it wait. A crowd that holds threads leaves hardly anybody served.
    """
    assert set(outcome.statuses()) <= {200, 503}, outcome.errors()
    assert outcome.share(200) >= 0.9


def is_as_alone(outcome: Outcome, alone: Outcome) -> bool:
    """Whether everybody was served, and about as soon as without a crowd."""
    return outcome.share(200) == 1 and outcome.latency(99) < 2 * alone.latency(99)


def milliseconds(outcome: Outcome) -> str:
    return f"p50 {outcome.latency(50) * 1e3:.1f} ms, p99 {outcome.latency(99) * 1e3:.1f} ms"


def test_other_callers_are_served_beside_crowds_of_slow_clients_and_after_them(
    front: Front, figures: Figures, full: bool
) -> None:
    rate, seconds = (200, 10) if full else (50, 2)
    everyone = {name: count for crowd in CROWDS.values() for name, count in crowd.items()}
    crowds = CROWDS if full else {"all of them at once": {**everyone, "readers": 2 * THREADS}}
    all_held = True
    with front.load(rate, seconds) as alone:
        pass
    assert_served(alone.outcome)
    for crowd, counts in crowds.items():
        with front.crowd(**counts):
            front.settle()
            with front.load(rate, seconds) as beside:
                pass
        with front.load(rate, seconds) as after:
            pass
        held = all(is_as_alone(outcome, alone.outcome) for outcome in (beside.outcome, after.outcome))
        all_held &= held
        figures.add(
            f"{crowd} ({front.name})",
            f"{rate} single rows/s for {seconds} s, open loop, 1 worker, {THREADS} threads",
            f"{beside.outcome.share(200):.1%} served, {milliseconds(beside.outcome)}; "
            f"without them {milliseconds(alone.outcome)}; "
            f"after them {after.outcome.share(200):.1%} served, {milliseconds(after.outcome)}",
            must_hold=MUST_HOLD,
            held=held,
        )
        assert_served(beside.outcome)
        assert_served(after.outcome)
    assert all_held or not full
