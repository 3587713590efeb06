"""The load generator keeps its pace whatever the server does, and loses no request from its books."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest

from support.needs import free_port
from support.open_loop import OpenLoop
from support.outcome import Answer, Outcome
from support.request_bytes import get, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 7\r\nConnection: close\r\n\r\n"


@contextmanager
def answering(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that runs ``serve`` in a thread for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def guarded(client: socket.socket) -> None:
            with client, suppress(OSError):
                serve(client)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=guarded, args=(listener.accept()[0],), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def each(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        while client.recv(4096):
            client.sendall(answer)

    return serve


def test_every_request_that_was_due_is_in_the_books() -> None:
    with answering(each(OK)) as port, OpenLoop(port, get("/"), rate=500, seconds=0.4) as load:
        pass
    assert load.outcome.statuses() == {200: 200}
    assert load.outcome.errors() == {}


def test_latency_counts_from_when_a_request_was_due_and_not_from_when_it_was_sent() -> None:
    opened = Event()

    def serve(client: socket.socket) -> None:
        while client.recv(4096):
            opened.wait(10)
            client.sendall(OK)

    with answering(serve) as port, OpenLoop(port, get("/"), rate=50, seconds=0.2, connections=1) as load:
        while load.now() < 0.3:
            Event().wait(0.01)
        opened.set()
    by_due = sorted(load.outcome.answers)
    assert len(by_due) == 10
    assert all(answer.latency >= 0.3 - answer.due_at for answer in by_due)
    assert by_due[-1].sent_at > by_due[-1].due_at  # the one connection was busy


def test_arrivals_do_not_wait_for_answers() -> None:
    arrived: list[int] = []
    opened = Event()

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        arrived.append(1)
        opened.wait(10)
        client.sendall(OK)

    with answering(serve) as port, OpenLoop(port, get("/"), rate=100, seconds=0.2) as load:
        while len(arrived) < 20:
            Event().wait(0.01)
        assert not load.outcome.answers
        opened.set()
    assert load.outcome.statuses() == {200: 20}


def test_a_refusal_is_recorded_with_its_retry_after() -> None:
    with answering(each(BUSY)) as port, OpenLoop(port, get("/"), rate=100, seconds=0.1) as load:
        pass
    assert {(answer.status, answer.retry_after) for answer in load.outcome.answers} == {(503, 7)}
    assert len(load.outcome.answers) == 10


def test_connections_that_end_without_an_answer_are_errors() -> None:
    def serve(client: socket.socket) -> None:
        client.recv(4096)

    with answering(serve) as port, OpenLoop(port, get("/"), rate=100, seconds=0.1) as load:
        pass
    assert load.outcome.statuses() == {0: 10}
    assert sum(load.outcome.errors().values()) == 10


def test_nobody_listening_is_an_error_of_every_request() -> None:
    with OpenLoop(free_port(), get("/"), rate=100, seconds=0.1) as load:
        pass
    assert load.outcome.errors() == {"ConnectionRefusedError": 10}


def test_requests_that_get_no_answer_in_time_are_errors() -> None:
    def serve(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    with (
        answering(serve) as port,
        OpenLoop(port, get("/"), rate=100, seconds=0.1, connections=4, patience_seconds=0.2) as load,
    ):
        pass
    assert load.outcome.errors() == {"no answer": 4, "never sent": 6}


def test_a_stopped_load_makes_no_more_requests_due() -> None:
    with answering(each(OK)) as port, OpenLoop(port, get("/"), rate=100, seconds=60) as load:
        load.wait_for_flow()
        load.stop()
    assert 0 < len(load.outcome.answers) < 3000
    assert set(load.outcome.statuses()) == {200}


def test_requests_can_differ_by_their_number() -> None:
    asked: list[bytes] = []

    def serve(client: socket.socket) -> None:
        while data := client.recv(4096):
            asked.append(data.split()[1])
            client.sendall(OK)

    with (
        answering(serve) as port,
        OpenLoop(port, lambda number: post(f"/{number}", {}, "t"), rate=100, seconds=0.1) as load,
    ):
        pass
    assert sorted(asked) == sorted(f"/{number}".encode() for number in range(10))
    assert load.outcome.statuses() == {200: 10}


@pytest.mark.parametrize("fresh", [True, False])
def test_fresh_connections_carry_one_request_each(fresh: bool) -> None:
    connections: list[int] = []

    def serve(client: socket.socket) -> None:
        connections.append(1)
        each(OK)(client)

    with answering(serve) as port, OpenLoop(port, get("/"), rate=50, seconds=0.2, fresh=fresh) as load:
        pass
    assert load.outcome.statuses() == {200: 10}
    assert (len(connections) == 10) is fresh


def test_an_outcome_is_cut_by_time_and_status() -> None:
    outcome = Outcome([Answer(n / 10, n / 10, n / 100, 200 if n % 2 else 503) for n in range(11)])
    assert outcome.share(200) == 5 / 11
    assert outcome.latency(50) == 0.05
    assert outcome.latency(100) == 0.1
    assert outcome.of(200).latency(100) == 0.09
    assert [answer.due_at for answer in outcome.between(0.2, 0.4).answers] == [0.2, 0.3]
    assert outcome.per_second(200, 503) == 11.0
