"""The life of the server process: reload, stop, crash; nothing that reached a worker is lost."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest

from support.server import STAND_IN, RunningServer, reply_of, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


# One that takes a while, and one that is quick enough to be answered in place.
PATHS = ("/sleep/0.002", "/version")


class Load:
    """Callers that send one request after the other, each on a kept-alive connection, until told to stop."""

    def __init__(self, server: RunningServer, callers: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.outcomes["200"] > 20, what="the first answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        for path in cycle(PATHS):
            if self._stop.is_set():
                break
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                self.outcomes[str(response.status)] += 1
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
                connection.close()
        connection.close()


def test_reloading_three_times_under_load_loses_no_request(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        before = server.worker_pids()
        with Load(server, callers=4) as load:
            for _ in range(3):
                server.reload()
        assert set(load.outcomes) == {"200"}
        assert not before & server.worker_pids()


def test_worker_that_is_replaced_tells_its_application_that_nothing_new_will_reach_it(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        before = server.worker_pids()
        server.reload()

        def told() -> list[int]:
            return [line["pid"] for line in server.log_lines() if "nothing that is sent then" in line["message"]]

        wait_until(lambda: len(told()) == 2, what="what both workers tell")
        assert sorted(told()) == sorted(before)


def test_reloading_takes_over_new_settings(home: Path) -> None:
    with RunningServer(home, "--workers", "1", command=STAND_IN) as server:
        (home / "config.toml").write_text('[tokens]\naudience = "second"\n')
        server.reload()
        wait_until(lambda: server.get("/version").body == b"second", what="the new setting")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[server]\nno_such_key = 1\n", "no_such_key"),
        ("[tokens", "config.toml"),
        ('[tokens]\naudience = "refuse-to-build"\n', "told not to be built"),
        ("[server]\nhost = '127.0.0.2'\n", "server.host"),
    ],
)
def test_bad_configuration_on_reload_leaves_the_old_one_serving(home: Path, text: str, word: str) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        before = server.worker_pids()
        (home / "config.toml").write_text(text)
        server.reload()
        assert server.worker_pids() == before
        assert server.get("/version").body == b"secure-ml-api"
        complaints = [line["message"] for line in server.log_lines() if line["level"] == "error"]
        assert len(complaints) == 1
        assert word in complaints[0]


def test_workers_that_cannot_start_after_a_reload_leave_the_server_answering(home: Path) -> None:
    with RunningServer(home, "--workers", "1", command=STAND_IN) as server:
        (home / "config.toml").write_text('[tokens]\naudience = "refuse-to-start"\n')
        server.reload()
        assert server.get("/version").body == b"secure-ml-api"
        (home / "config.toml").write_text('[tokens]\naudience = "third"\n')
        server.reload()
        wait_until(lambda: server.get("/version").body == b"third", what="the mended setting")


def test_workers_that_begin_too_slowly_after_a_reload_are_killed_and_the_old_ones_stay(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        before = server.worker_pids()
        (home / "config.toml").write_text(
            '[tokens]\naudience = "begins-for-600"\n[server]\nstart_timeout_seconds = 0.5'
        )
        server.reload()
        assert server.get("/version").body == b"secure-ml-api"
        wait_until(lambda: server.worker_pids() == before, what="the end of the new workers")


def test_reload_that_waits_for_slow_workers_is_followed_by_the_next_and_ends_when_the_server_stops(home: Path) -> None:
    with RunningServer(home, "--workers", "1", command=STAND_IN) as server:
        (home / "config.toml").write_text('[tokens]\naudience = "begins-for-2"\n')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.worker_pids()) == 2, what="the new worker")
        (home / "config.toml").write_text('[tokens]\naudience = "begins-for-600"\n')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.get("/version").body == b"begins-for-2", what="the first new configuration")
        wait_until(lambda: len(server.worker_pids()) == 2, what="the worker of the second")
        assert server.stop(seconds=15) == 0


def test_sigterm_finishes_what_is_being_answered_and_readiness_goes_first(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/sleep/3")
        wait_until(lambda: server.metric("secure_ml_api_in_flight") == 1, what="the request in flight")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/v2/health/ready").status == 503, 2, "readiness 503")
        reply = reply_of(connection.getresponse())
        connection.close()
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        assert server.stop() == 0


def test_sigterm_under_load_answers_every_request_that_reached_a_worker(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        with Load(server, callers=4) as load:
            assert server.stop() == 0
        assert set(load.outcomes) <= {"200", "ConnectionRefusedError"}


def test_sigterm_while_a_worker_is_being_forked_leaves_nobody_waiting_and_stops_that_worker_too(home: Path) -> None:
    environ = {"STAND_IN_FORKS_SECONDS": "2", "SECURE_ML_API_SERVER__GRACEFUL_TIMEOUT_SECONDS": "20"}
    with RunningServer(home, "--workers", "2", command=STAND_IN, environ=environ) as server:
        with Load(server, callers=4) as load:
            assert server.stop(seconds=15) == 0
        assert set(load.outcomes) <= {"200", "ConnectionRefusedError"}


def test_last_answer_on_a_kept_alive_connection_says_close(home: Path) -> None:
    with RunningServer(home, "--workers", "1", command=STAND_IN) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/version")
        assert reply_of(connection.getresponse()).headers["connection"] == "keep-alive"
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: any("term" in line["message"] for line in server.log_lines()), what="the signal")
        connection.request("GET", "/version")
        assert reply_of(connection.getresponse()).headers["connection"] == "close"
        connection.close()
        assert server.stop() == 0


def test_half_sent_request_at_sigterm_gets_an_answer(home: Path) -> None:
    with RunningServer(home, "--workers", "1", command=STAND_IN) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(b"GET /version HTTP/1.1\r\nHost: ")
            server.get("/version")
            server.process.send_signal(signal.SIGTERM)
            with client.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 503 Service Unavailable\r\n"
        assert server.stop() == 0


def test_worker_that_has_answered_its_share_is_replaced_without_losing_a_request(home: Path) -> None:
    environ = {"SECURE_ML_API_SERVER__MAX_REQUESTS": "200"}
    with RunningServer(home, "--workers", "1", command=STAND_IN, environ=environ) as server:
        before = server.worker_pids()
        with Load(server, callers=4) as load:
            wait_until(lambda: not before & server.worker_pids(), what="the replacement")
        assert set(load.outcomes) == {"200"}
        counted = [server.metric("secure_ml_api_requests_total", route=route) for route in ("sleep", "version")]
        assert sum(counted) == load.outcomes["200"]
        assert server.metric("secure_ml_api_workers_ended_total", reason="relief") >= 1
        assert server.metric("secure_ml_api_workers_ended_total") == server.metric(
            "secure_ml_api_workers_ended_total", reason="relief"
        )


def test_worker_that_is_one_too_many_leaves_and_is_counted_as_that(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        server.process.send_signal(signal.SIGTTOU)
        wait_until(lambda: len(server.worker_pids()) == 1, what="the leave of one worker")
        wait_until(lambda: server.metric("secure_ml_api_workers_ended_total", reason="surplus") == 1, what="its count")


def test_killed_worker_is_replaced_while_its_siblings_answer(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        begun = time.monotonic()
        server.kill_worker()
        assert time.monotonic() - begun < 10
        assert server.get("/version").status == 200
        assert len(server.worker_pids()) == 2


def test_lost_run_directory_does_not_stop_the_server_from_reloading(home: Path) -> None:
    with RunningServer(home, "--workers", "2", command=STAND_IN) as server:
        server.lose_run_directory()
        assert server.get("/version").status == 200
        assert server.metric("secure_ml_api_model_info") >= 0
        server.reload()
        assert server.get("/version").status == 200
        server.kill_worker()
        assert server.stop() == 0
