"""What gunicorn's parser takes and this server reads otherwise."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from gunicorn.config import Config

from secure_ml_api.server.connection import Connection
from secure_ml_api.server.exchange import Exchanges
from secure_ml_api.setting_sections import ServerSettings

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Served(NamedTuple):
    """What became of a request: the environment that the application got, if any, and the answer."""

    environ: dict[str, Any] | None
    answer: bytes
    goes_on: bool


def served(sent: bytes) -> Served:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    client, server = socket.socketpair()
    with client, server:
        connection = Connection(Config(), server, ("127.0.0.1", 1), ("127.0.0.1", 8000), ServerSettings())
        client.sendall(sent)
        assert connection.receive()
        connection.hand_over()
        goes_on = Exchanges(Config(), app, 1.0, lambda: False).serve(connection)
        return Served(seen[0] if seen else None, client.recv(65536), goes_on)


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: close\r\n",
        b"Connection: keep-alive, close\r\n",
        b"Connection: Close,te\r\n",
        b"Connection: te\t,\tclose\r\n",
        b"Connection: keep-alive\r\nConnection: close\r\n",
    ],
)
def test_close_anywhere_among_the_options_of_the_connection_closes_it(fields: bytes) -> None:
    told = served(GET + fields + b"\r\n")
    assert not told.goes_on
    assert b"\r\nConnection: close\r\n" in told.answer


@pytest.mark.parametrize("fields", [b"", b"Connection: te\r\n", b"Connection: disclose\r\n", b"X: close\r\n"])
def test_connection_without_that_option_goes_on(fields: bytes) -> None:
    assert served(GET + fields + b"\r\n").goes_on


@pytest.mark.parametrize("version", [b"1.2", b"1.9", b"2.0", b"0.9"])
def test_version_that_is_not_spoken_is_told_so_in_one_that_is(version: bytes) -> None:
    told = served(GET.replace(b"1.1", version) + b"\r\n")
    assert told.answer.startswith(b"HTTP/1.1 505 ")
    assert (told.environ, told.goes_on) == (None, False)


def test_wish_for_another_protocol_is_passed_over() -> None:
    told = served(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert told.environ is not None
    assert "HTTP_UPGRADE" not in told.environ
    assert told.goes_on
