"""What gunicorn's parser is handed out of what a client has sent."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

from secure_ml_api.errors import BodyTooSlow
from secure_ml_api.server.connection import Connection
from secure_ml_api.server.unreader import HeadTooSlow, TimedUnreader
from secure_ml_api.setting_sections import ServerSettings

Read = tuple[TimedUnreader, socket.socket]


@pytest.fixture
def sides() -> Iterator[Read]:
    client, server = socket.socketpair()
    with client, server:
        yield TimedUnreader(server), client


@given(st.binary(max_size=40_000), st.binary(max_size=300), st.lists(st.none() | st.integers(0, 9000), max_size=30))
def test_every_byte_is_handed_out_once_and_in_order(held: bytes, sent: bytes, sizes: list[int | None]) -> None:
    client, server = socket.socketpair()
    with client, server:
        reads = TimedUnreader(server)
        reads.unread(held)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        got = [reads.read(size) for size in sizes]
        assert all(size is None or len(data) <= size for size, data in zip(sizes, got, strict=True))
        rest = reads.take_buffered()
        while more := reads.read():
            rest += more
        assert b"".join(got) + rest == held + sent


def test_much_that_is_there_is_handed_out_in_small_pieces(sides: Read) -> None:
    reads, _ = sides
    reads.unread(b"x" * 1_000_000)
    assert len(reads.read()) <= 8192
    assert len(reads.read(500_000)) == 500_000
    assert reads.held_bytes + 500_000 + 8192 == 1_000_000


def test_what_is_put_back_comes_first(sides: Read) -> None:
    reads, _ = sides
    reads.unread(b"second")
    assert reads.read(3) == b"sec"
    reads.unread(b"first ")
    assert reads.take_buffered() == b"first ond"


@pytest.mark.parametrize(("in_body", "error"), [(True, BodyTooSlow), (False, HeadTooSlow)])
def test_after_the_deadline_what_is_there_is_handed_out_and_nothing_is_waited_for(
    sides: Read, error: type[Exception], *, in_body: bool
) -> None:
    reads, _ = sides
    reads.unread(b"x")
    reads.in_body, reads.deadline = in_body, 0.0
    assert reads.read() == b"x"
    with pytest.raises(error):
        reads.read()


_LENGTHS = st.sampled_from(["0", "5", "34", "007", "00000000000034", "9999999999", "-1", "5, 5", "0x5", ""])
_CODINGS = st.sampled_from(["chunked", "Chunked", "gzip, chunked", "chunked,", "identity", "chunked;q=1", "x"])
_FIELDS = st.lists(
    st.tuples(st.sampled_from(["Content-Length", "content-length ", "CONTENT-LENGTH"]), _LENGTHS)
    | st.tuples(st.sampled_from(["Transfer-Encoding", "transfer-encoding"]), _CODINGS)
    | st.tuples(st.just("Expect"), st.sampled_from(["100-continue", "miracles", ""]))
    | st.tuples(st.just("User-Agent"), st.just("what i expect")),
    max_size=3,
)
_CHUNK_LINES = st.sampled_from(
    [b"5", b"05", b"000000005", b"100000000", b"5;a=b", b"5;" + b"a" * 5000, b"5 ", b"0", b"z", b"-5", b""]
)
_DATA = st.sampled_from([b"hello", b"", b"hel"])
_CHUNKS = st.builds(lambda line, data: line + b"\r\n" + data + b"\r\n", _CHUNK_LINES, _DATA)
_BODIES = st.binary(max_size=40) | st.lists(_CHUNKS, max_size=4).map(b"".join)


@given(st.sampled_from(["1.1", "1.0"]), _FIELDS, _BODIES)
@example("1.1", [("Content-Length", "00000000000034")], b"grant")
@example("1.1", [("User-Agent", "what i expect"), ("Content-Length", "34")], b"grant")
@example("1.0", [("Expect", "100-continue"), ("Content-Length", "34")], b"grant")
@example("1.1", [("Transfer-Encoding", "chunked")], b"100000000\r\ngrant")
@example("1.1", [("Transfer-Encoding", "chunked")], b"0\r\nX: " + b"a" * 5000)
def test_for_what_is_complete_and_not_cut_short_the_parser_never_waits(
    version: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    client, server = socket.socketpair()
    with client, server:
        connection = Connection(Config(), server, ("127.0.0.1", 1), ("127.0.0.1", 8000), ServerSettings())
        client.sendall(f"POST /x HTTP/{version}\r\nHost: a\r\n{lines}\r\n".encode() + body)
        assert connection.receive()
        if connection.is_complete and not connection.is_cut_short:
            connection.hand_over()
            connection.unreader.chunk = _waits  # type: ignore[method-assign]
            _read_all(connection)


def _waits(size_hint: int | None = None) -> bytes:
    raise AssertionError("a thread waits for the client")


def _read_all(connection: Connection) -> None:
    try:
        request = next(connection.parser)
        while request.body.read(1000):
            pass
    except AssertionError:
        raise
    except Exception:
        return  # refused, for whatever
