"""When a connection holds a request that a thread can work on without waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.auth.client_authentication import FORM_LIMIT_BYTES
from secure_ml_api.errors import BodyTooSlow
from secure_ml_api.server.connection import Connection
from secure_ml_api.server.gathering import Room
from secure_ml_api.server.incoming import GATHERED_BODY_BYTES, HEAD_LIMIT_BYTES
from secure_ml_api.server.unreader import HeadTooSlow
from secure_ml_api.setting_sections import ServerSettings

ANSWER = b"0123456789" * 100_000
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


class Pair:
    """A connection and the client's end of it."""

    def __init__(self, room: Room | None = None) -> None:
        self.client, server = socket.socketpair()
        limits = ServerSettings(header_timeout_seconds=0.05, body_timeout_seconds=0.05)
        self.connection = Connection(Config(), server, ("127.0.0.1", 1), ("127.0.0.1", 8000), limits, room=room)

    def send(self, data: bytes) -> Connection:
        self.client.sendall(data)
        assert self.connection.receive()
        return self.connection

    def close(self) -> None:
        self.client.close()
        self.connection.sock.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@given(st.integers(min_value=1, max_value=len(POST) - 1))
def test_request_is_complete_with_its_last_byte_wherever_it_was_cut(cut: int) -> None:
    pair = Pair()
    try:
        assert not pair.send(POST[:cut]).is_complete
        assert pair.send(POST[cut:]).is_complete
    finally:
        pair.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: miracles\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (ServerSettings().body_limit_bytes + 1),
        b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (FORM_LIMIT_BYTES + 1),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
)
def test_head_is_enough_where_the_body_is_refused(pair: Pair, head: bytes) -> None:
    assert pair.send(head).is_complete


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % ServerSettings().body_limit_bytes,
        b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % FORM_LIMIT_BYTES,
    ],
)
def test_body_on_its_way_is_waited_for(pair: Pair, head: bytes) -> None:
    assert not pair.send(head + b"5").is_complete


def test_client_that_waits_for_it_is_told_to_send_its_body_once(pair: Pair) -> None:
    pair.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    pair.send(b"x")
    assert pair.client.recv(999) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert pair.connection.was_told_to_continue


def test_long_body_that_finds_no_room_is_left_to_a_thread() -> None:
    room = Room(GATHERED_BODY_BYTES)
    pair = Pair(room)
    try:
        pair.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1000):
            if pair.send(b"x" * 1000).is_complete:
                break
        assert len(pair.connection._pending) < 3 * GATHERED_BODY_BYTES
        pair.connection.release()
        assert room.free_bytes == GATHERED_BODY_BYTES
    finally:
        pair.close()


def test_header_block_without_an_end_becomes_too_long(pair: Pair) -> None:
    pair.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    while not pair.connection.is_too_long:
        pair.send(b"X: " + b"y" * 8000 + b"\r\n")
    assert not pair.connection.is_complete
    assert len(pair.connection._pending) <= HEAD_LIMIT_BYTES + 64 * 1024


def test_client_that_closed_is_noticed(pair: Pair) -> None:
    pair.client.close()
    assert not pair.connection.receive()


def test_parser_reads_the_very_bytes_that_were_gathered(pair: Pair) -> None:
    pair.send(POST).hand_over()
    request = next(pair.connection.parser)
    assert (request.method, request.path, request.body.read()) == ("POST", "/x", b"hello")


def test_second_request_sent_with_the_first_is_kept_for_later(pair: Pair) -> None:
    pair.send(POST + POST).hand_over()
    next(pair.connection.parser).body.read()
    pair.connection.resume()
    assert pair.connection.is_complete


def test_answered_connection_is_idle_again(pair: Pair) -> None:
    pair.send(POST).hand_over()
    next(pair.connection.parser).body.read()
    pair.connection.resume()
    assert pair.connection.is_idle
    assert not pair.connection.is_complete


def test_wait_for_the_rest_of_a_head_ends_at_its_deadline(pair: Pair) -> None:
    pair.send(b"GET / HTTP/1.1\r\nHost: a\r\n").hand_over()
    with pytest.raises(HeadTooSlow):
        next(pair.connection.parser)


def test_wait_for_the_rest_of_a_body_ends_at_its_deadline(pair: Pair) -> None:
    pair.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe").hand_over()
    request = next(pair.connection.parser)
    pair.connection.unreader.in_body = True
    with pytest.raises(BodyTooSlow):
        request.body.read()


def test_trickling_client_does_not_move_the_deadline(pair: Pair) -> None:
    deadline = pair.send(b"GET").deadline
    assert pair.send(b" /").deadline == deadline


def read_slowly(pair: Pair) -> Connection:
    """A connection whose client takes nothing for now, and an answer that is longer than what lies between them."""
    pair.connection.hand_over()
    pair.connection.write(ANSWER, 0.05)
    return pair.connection


def test_answer_that_the_client_does_not_take_waits_for_it_without_the_thread(pair: Pair) -> None:
    connection = read_slowly(pair)
    connection.write(b"the end", 0.05)
    connection.resume()
    received = b""
    while connection.unsent:
        received += pair.client.recv(1 << 20)
        connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
    received += pair.client.recv(1 << 20)
    assert received == ANSWER + b"the end"


def test_answer_that_is_taken_at_once_leaves_nothing_behind(pair: Pair) -> None:
    pair.connection.hand_over()
    pair.connection.write(b"short", 0.05)
    pair.connection.resume()
    assert not pair.connection.unsent
    assert pair.client.recv(100) == b"short"


def test_thread_waits_for_the_client_when_there_is_no_room_for_its_answer() -> None:
    room = Room(0)
    pair = Pair(room)
    try:
        with pytest.raises(TimeoutError):
            read_slowly(pair)
        assert room.free_bytes == 0
    finally:
        pair.close()


def test_room_of_an_answer_that_nobody_will_take_is_given_back() -> None:
    room = Room(10 * len(ANSWER))
    pair = Pair(room)
    try:
        connection = read_slowly(pair)
        assert room.free_bytes < 10 * len(ANSWER)
        connection.resume()
        connection.drop_answer()
        assert room.free_bytes == 10 * len(ANSWER)
        assert not connection.unsent
    finally:
        pair.close()


def test_body_for_which_there_is_no_room_has_to_be_waited_for() -> None:
    pair = Pair(Room(0))
    try:
        connection = pair.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * GATHERED_BODY_BYTES
        )
        assert (connection.is_complete, connection.is_cut_short) == (False, False)
        pair.send(b"x")
        assert (connection.is_complete, connection.is_cut_short) == (True, True)
    finally:
        pair.close()


def test_body_that_is_too_long_is_for_the_application_to_refuse_and_not_waited_for(pair: Pair) -> None:
    connection = pair.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
    assert (connection.is_complete, connection.is_cut_short) == (True, False)
