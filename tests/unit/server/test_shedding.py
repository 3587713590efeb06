"""What a worker turns away: nothing in calm times, what does not fit under overload, and probes never."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config

from secure_ml_api.inference.reception import Reception
from secure_ml_api.server import shedding
from secure_ml_api.server.connection import Connection
from secure_ml_api.server.error_pages import overloaded_answer
from secure_ml_api.server.gathering import Room
from secure_ml_api.server.incoming import GATHERED_BODY_BYTES
from secure_ml_api.server.shedding import FEW_IN_A_TURN, LEAST_IN_HAND, STRICT_TURN_PART, STRICT_TURN_REQUESTS, Shedding
from secure_ml_api.setting_sections import ServerSettings

MOST = 100
METRICS_PORT = 9464


class Worker:
    """A worker's shedding on a clock of its own, and connections to it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        patch.setattr(shedding, "monotonic", lambda: self.now)
        self.reception = Reception(clock=lambda: self.now)
        self.shedding = Shedding(self.reception, MOST, METRICS_PORT)
        self._pairs: list[tuple[socket.socket, Connection]] = []

    def sent(self, request: bytes, port: int = 8000, room: Room | None = None) -> Connection:
        client, server = socket.socketpair()
        ends = ("127.0.0.1", 1), ("127.0.0.1", port)
        connection = Connection(Config(), server, *ends, ServerSettings(), room=room)
        self._pairs.append((client, connection))
        client.sendall(request)
        assert connection.receive()
        return connection

    def asks(self, token: str = "t", **options: Any) -> int | None:
        return self.shedding.refusal(self._request(token), **options)

    def is_told(self, token: str = "t", *, in_hand: int) -> int | None:
        return self.shedding.told(self._request(token), in_hand)

    def _request(self, token: str) -> Connection:
        head = f"POST /v1/models/iris/predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        request = head + "Content-Length: 2\r\n\r\n{}"
        return self.sent(request.encode())

    def turn(self, seconds: float, ready: int = 100) -> None:
        self.shedding.begin_turn(ready)
        self.now += seconds
        self.shedding.end_turn()

    def close(self) -> None:
        for client, connection in self._pairs:
            client.close()
            connection.sock.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    made = Worker(monkeypatch)
    yield made
    made.close()


def test_in_calm_times_nobody_is_turned_away(worker: Worker) -> None:
    assert worker.asks() is None
    assert worker.asks(in_hand=MOST - 1) is None


def test_what_threads_can_hold_is_bounded_tightly_once_it_does_not_suffice(worker: Worker) -> None:
    worker.shedding.begin_turn(100)
    assert worker.asks(in_hand=MOST) is not None
    assert worker.asks(in_hand=LEAST_IN_HAND) is not None
    assert worker.asks(in_hand=LEAST_IN_HAND - 1) is None


def test_turns_that_are_long_for_long_mean_overload_and_one_long_turn_does_not(worker: Worker) -> None:
    worker.turn(0.5)
    assert not worker.shedding.overload.is_strict
    worker.turn(0.01)
    worker.turn(0.06)
    assert not worker.shedding.overload.is_strict
    worker.turn(0.06)
    assert worker.shedding.overload.is_strict


def test_long_turns_with_few_callers_are_a_slow_machine_and_no_overload(worker: Worker) -> None:
    for _ in range(10):
        worker.turn(0.5, ready=FEW_IN_A_TURN)
    assert not worker.shedding.overload.is_strict


def test_under_overload_the_loop_comes_round_soon(worker: Worker) -> None:
    worker.shedding.overload.has_no_room()
    for _ in range(2):
        worker.shedding.begin_turn(30)
        assert [worker.asks() is None for _ in range(30)].count(True) == STRICT_TURN_REQUESTS


def test_when_very_many_wait_a_turn_holds_a_part_of_them(worker: Worker) -> None:
    worker.shedding.overload.has_no_room()
    worker.shedding.begin_turn(80)
    assert [worker.asks() is None for _ in range(80)].count(True) == 80 // STRICT_TURN_PART


def test_under_overload_who_asks_less_finds_room_where_who_asks_more_does_not(worker: Worker) -> None:
    worker.shedding.overload.has_no_room()
    worker.shedding.begin_turn(100)
    for _ in range(50):
        worker.asks("flood")
    assert worker.asks("flood") is not None
    assert worker.asks("modest") is None
    worker.shedding.begin_turn(100)
    assert worker.asks("flood", in_hand=LEAST_IN_HAND) is not None
    assert worker.asks("modest", in_hand=LEAST_IN_HAND) is None


def test_who_was_told_in_a_turn_is_told_the_same_in_it_and_every_time_counts(worker: Worker) -> None:
    worker.shedding.begin_turn(100)
    worker.shedding.overload.has_no_room()
    before = worker.shedding.overload.drain.refused
    seconds = worker.asks(in_hand=LEAST_IN_HAND)
    assert seconds is not None
    assert [worker.is_told(in_hand=LEAST_IN_HAND + number) for number in range(3)] == [seconds] * 3
    worker.shedding.begin_turn(100)
    assert worker.shedding.overload.drain.refused == before + 4
    assert worker.is_told(in_hand=LEAST_IN_HAND) is None


def test_what_one_was_told_nobody_else_is_told(worker: Worker) -> None:
    worker.shedding.begin_turn(100)
    worker.shedding.overload.has_no_room()
    worker.asks("a", in_hand=LEAST_IN_HAND)
    assert worker.is_told("b", in_hand=LEAST_IN_HAND) is None


def test_whose_body_has_yet_to_come_is_not_told_what_one_with_the_same_head_was_told(worker: Worker) -> None:
    """To skip its head alone would make a request of its body."""
    body = b"GET /v2/models/iris HTTP/1.1\r\nHost: a\r\n\r\n".ljust(GATHERED_BODY_BYTES + 9000)
    head = b"POST /v1/models/iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    worker.shedding.begin_turn(100)
    worker.shedding.overload.has_no_room()
    first = worker.sent(head + body)
    while not first.is_complete:
        assert first.receive()
    assert worker.shedding.refusal(first, LEAST_IN_HAND) is not None
    second = worker.sent(head + body[:-1000], room=Room(0))
    while len(second._pending) < len(head + body) - 1000:
        assert second.receive()
    assert second.is_cut_short
    assert second.is_complete
    assert second.head == first.head
    assert worker.shedding.told(second, LEAST_IN_HAND) is None


@pytest.mark.parametrize(("freed", "in_hand"), [(1, LEAST_IN_HAND), (0, LEAST_IN_HAND - 1)])
def test_when_room_was_made_it_is_looked_for_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, freed: int, in_hand: int
) -> None:
    worker.shedding.begin_turn(100)
    worker.shedding.overload.has_no_room()
    worker.asks(in_hand=LEAST_IN_HAND)
    monkeypatch.setattr(Reception, "freed", freed)
    assert worker.is_told(in_hand=in_hand) is None


def test_what_is_turned_away_is_on_its_way_to_no_model(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_way: set[Any] = set()

    def let_pass(path: str, authorization: str | None, holder: Any) -> None:
        on_the_way.add(holder)

    monkeypatch.setattr(worker.reception, "turned_away", let_pass)
    monkeypatch.setattr(worker.reception, "forget", on_the_way.discard)
    worker.shedding.overload.has_no_room()
    assert worker.asks(in_hand=0) is None
    assert len(on_the_way) == 1
    assert worker.asks(in_hand=MOST) is not None
    assert len(on_the_way) == 1


@pytest.mark.parametrize(
    ("request_bytes", "port"),
    [
        (b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n", 8000),
        (b"HEAD /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n", 8000),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", METRICS_PORT),
    ],
)
def test_probes_and_scrapes_are_never_turned_away(worker: Worker, request_bytes: bytes, port: int) -> None:
    worker.shedding.overload.has_no_room()
    worker.now += 1.0
    probe = worker.sent(request_bytes, port)
    assert worker.shedding.is_probe(probe)
    assert worker.shedding.refusal(probe, 10 * MOST) is None
    worker.shedding.refusal(worker.sent(request_bytes.replace(b"/v2/health/", b"/docs/")), 10 * MOST)  # a caller's
    assert worker.shedding.told(probe, 10 * MOST) is None


def test_a_request_that_is_not_plain_is_left_to_the_parser(worker: Worker) -> None:
    worker.shedding.overload.has_no_room()
    worker.now += 1.0
    for request in (
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"nonsense\r\n\r\n",
    ):
        assert worker.shedding.refusal(worker.sent(request)) is None


def test_what_is_turned_away_counts_for_the_time_to_come_back(worker: Worker) -> None:
    worker.shedding.overload.drain.served = 10
    worker.shedding.overload.has_no_room()
    worker.now += 0.5
    for _ in range(STRICT_TURN_REQUESTS + 41):
        worker.asks()
    assert worker.asks() == 5


def test_a_refused_request_is_dropped_and_the_next_one_is_there(worker: Worker) -> None:
    connection = worker.sent(
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    connection.skip()
    assert connection.is_complete
    assert connection.head.startswith(b"GET /b ")
    connection.skip()
    assert connection.is_idle


def test_the_short_refusal_is_a_problem_with_a_time_to_come_back() -> None:
    head, _, body = overloaded_answer("a" * 32, 7, under_v2=True).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 SERVICE UNAVAILABLE"
    assert {"Retry-After: 7", "X-Request-Id: " + "a" * 32, f"Content-Length: {len(body)}"} <= set(lines)
    assert b'"request_id":"' + b"a" * 32 in body
    assert b'"error":' in body
