"""``kill -9`` of a worker, again and again while callers call: its own connections are lost, and nothing else."""

from __future__ import annotations

import http.client
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pytest

from support.fault_table import Figures
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words, owners
from support.outcome import Outcome
from support.redis_server import RedisServer
from support.server import Reply, RunningServer, reply_of, wait_until

RATE = 100
LIMIT = 100_000
CONNECTIONS = 12
PLACES = 4
PREDICT = "/v1/models/{name}/predict"


class Metered:
    """A caller with a quota, who asks one thing after the other and counts."""

    def __init__(self, server: Loaded) -> None:
        running = server.running
        self._client = running.create_client("metered", "predict:tiny", rate=f"{LIMIT}/hour", concurrency=str(PLACES))
        self._running, self.token = running, running.token(self._client)
        self.sent = self.answered = 0
        self._stop = Event()
        self._thread = Thread(target=self._go)

    def __enter__(self) -> Metered:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def ask(self) -> Reply:
        self.sent += 1
        reply = self._running.post_json("/v1/models/tiny/predict", {"features": [1, 2]}, self.token)
        self.answered += reply.status == 200
        return reply

    def charged(self) -> int:
        """How many requests the server has charged for, this question included."""
        match = re.search(r'"requests";r=(\d+)', self.ask().headers["ratelimit"])
        assert match is not None
        return LIMIT - int(match[1])

    def _go(self) -> None:
        while not self._stop.wait(0.01):
            try:
                self.ask()
            except (OSError, http.client.HTTPException):
                continue


class Lines:
    """Kept-alive connections, and whose they are."""

    def __init__(self, running: RunningServer, number: int) -> None:
        self._running = running
        self.open = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=30) for _ in range(number)]
        assert all(self.answers(line) for line in self.open)

    @staticmethod
    def answers(line: http.client.HTTPConnection) -> bool:
        try:
            line.request("GET", "/v2/health/live")
            return reply_of(line.getresponse()).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def by_owner(self) -> dict[int, list[http.client.HTTPConnection]]:
        found = owners(self._running.port, self._running.worker_pids())
        by_owner: dict[int, list[http.client.HTTPConnection]] = {}
        for line in self.open:
            owner = found.get(line.sock.getsockname()[1])
            if owner is not None:
                by_owner.setdefault(owner, []).append(line)
        return by_owner

    def close(self) -> None:
        for line in self.open:
            line.close()


def answers_from(running: RunningServer, newcomers: set[int]) -> bool:
    """Whether one of ``newcomers`` has answered a request on a connection of its own."""
    lines = Lines(running, 2)
    try:
        return bool(newcomers & lines.by_owner().keys())
    finally:
        lines.close()


class Killed(NamedTuple):
    """What the end of a worker cost: seconds until its successor answered, and how many callers it had connected."""

    replaced_seconds: float
    callers: int


def kill_one(running: RunningServer) -> Killed:
    """Kill one worker, and see whose connections live on."""
    lines, before = Lines(running, CONNECTIONS), running.worker_pids()
    by_owner = lines.by_owner()
    assert sum(map(len, by_owner.values())) == CONNECTIONS
    victim = max(by_owner)
    os.kill(victim, signal.SIGSTOP)  # so that it takes no further connections while those that it has are counted
    wait_until(lambda: is_stopped(victim), what="the end of its last step")
    connected = Counter(owners(running.port, {victim}).values())[victim]
    killed_at = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: answers_from(running, running.worker_pids() - before), 30, "the successor's first answer")
    replaced = time.monotonic() - killed_at
    for pid, held in by_owner.items():
        assert [lines.answers(line) for line in held] == [pid != victim] * len(held)
    lines.close()
    return Killed(replaced, connected - len(by_owner[victim]))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At length also where quotas are counted elsewhere."""
    if "counts_in" in metafunc.fixturenames:
        full = bool(metafunc.config.getoption("--figures"))
        metafunc.parametrize("counts_in", ("here", "redis") if full else ("here",), scope="module")


@pytest.fixture(scope="module")
def server(worker_class: str, counts_in: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    directory, environ = tmp_path_factory.mktemp("killed"), dict(QUIETLY)
    with ExitStack() as running:
        if counts_in == "redis":
            environ["SECURE_ML_API_STATE__URL"] = running.enter_context(RedisServer(directory)).url
        started = RunningServer(directory / "home", "--workers", "2", command=HANGING, environ=environ)
        yield Loaded(running.enter_context(started))


def wait_until_nobody_is_in_flight(running: RunningServer) -> None:
    """Who was killed took its callers along: none of them is counted for ever."""
    wait_until(lambda: running.metric("secure_ml_api_in_flight") == 0, what="nobody in flight, as the gauge says")


def test_killing_workers_under_load_costs_their_own_connections_and_no_count(
    server: Loaded, worker_class: str, counts_in: str, figures: Figures, full: bool
) -> None:
    running, times = server.running, 20 if full else 2
    counted_before = running.metric("secure_ml_api_requests_total", route=PREDICT, status="200")
    with server.load_meanwhile(RATE) as load, Metered(server) as metered:
        killed = [kill_one(running) for _ in range(times)]
        seconds = load.now()
    wait_until_nobody_is_in_flight(running)
    charged = metered.charged()
    counted = running.metric("secure_ml_api_requests_total", route=PREDICT, status="200") - counted_before
    outcome: Outcome = load.outcome
    answered, sent = len(outcome.of(200).answers) + metered.answered, len(outcome.answers) + metered.sent
    lost, replaced = sent - answered, max(each.replaced_seconds for each in killed)
    exposed = sum(each.callers for each in killed)
    figures.add(
        f"kill −9 of a worker, ×{times}{', quotas in Redis' if counts_in == 'redis' else ''} ({worker_class})",
        LOAD.format(rate=RATE, seconds=round(seconds)) + f"; {CONNECTIONS} idle connections at each kill",
        f"{in_words(outcome)}; a successor answered after {replaced:.2f} s at most; {lost} lost of {sent}, while the "
        f"killed had {exposed} connections; {counted:.0f} counted, of the {metered.sent} of one client "
        f"{metered.answered} answered and {charged} charged",
        must_hold="only that worker's connections are lost; replaced in ≤ 2 s; counters right; none left in flight",
    )
    assert set(outcome.statuses()) <= {200, 0}
    assert lost <= exposed  # each connection carries one request at a time
    assert answered <= counted <= sent
    assert metered.answered <= charged <= metered.sent
    assert replaced <= (2 if full else 10)  # the promise is 2 s, on a machine that does nothing else


def test_places_in_flight_of_a_killed_worker_are_free_at_once(server: Loaded) -> None:
    running = server.running
    client = running.create_client("crowded", "predict:slow-stuck", rate="1000000/minute", concurrency=str(PLACES))
    token = running.token(client)

    def ask(seconds: float) -> int:
        try:
            payload = {"features": [seconds]}
            return running.post_json("/v1/models/slow-stuck/predict", payload, token, timeout=20).status
        except (OSError, http.client.HTTPException):
            return 0

    with ThreadPoolExecutor(PLACES) as callers:
        held = [callers.submit(ask, 600.0) for _ in range(PLACES)]
        wait_until(lambda: running.metric("secure_ml_api_in_flight") == PLACES, what="all places taken")
        assert ask(0.0) == 429
        before = running.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert [each.result() for each in held] == [0] * PLACES
        wait_until(lambda: len(running.worker_pids() - before) == 2 and ask(0.0) == 200, what="the successors")
        assert list(callers.map(ask, [0.2] * PLACES)) == [200] * PLACES
    wait_until_nobody_is_in_flight(running)
