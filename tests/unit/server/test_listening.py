"""The end of a listening socket: who is on the way to it is taken, and nobody after."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from secure_ml_api.server.listening import next_connection, stop_handshakes


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


@pytest.fixture
def half_made(listener: socket.socket) -> Iterator[socket.socket]:
    """A client's end of a connection that the kernel has begun, and makes with the next packet that comes."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        assert next_connection(listener) is None
        yield client


def test_a_connection_that_is_half_made_when_handshakes_stop_is_made(
    listener: socket.socket, half_made: socket.socket
) -> None:
    stop_handshakes(listener)
    half_made.sendall(b"asked")
    assert select.select([listener], [], [], 30)[0]
    came = next_connection(listener)
    assert came is not None
    with came[0] as server:
        assert server.recv(5) == b"asked"


def test_connections_that_were_made_before_handshakes_stop_go_on(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        stop_handshakes(listener)
        came = next_connection(listener)
        assert came is not None
        with came[0] as server:
            client.sendall(b"asked")
            assert server.recv(5) == b"asked"


def test_no_connection_is_made_after_handshakes_stop_and_the_port_is_closed_to_who_tries_again(
    listener: socket.socket,
) -> None:
    stop_handshakes(listener)
    with socket.socket() as late:
        late.setblocking(False)
        assert late.connect_ex(listener.getsockname()) != 0
        assert not select.select([], [late], [], 0.2)[1]
        listener.close()
        assert select.select([], [late], [], 30)[1]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
