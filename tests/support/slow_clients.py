"""Clients that take their time, many at once and from many addresses: the crowd that slow-client attacks consist of.

``silent`` ones connect and say nothing; ``idle`` ones have had an answer and keep their connection; ``headers`` and
``bodies`` send a byte now and then; ``readers`` ask for megabytes and read a byte now and then. All use addresses of
127.0.0.0/8, a hundred connections each, so that what is bounded by address stays out of the way.
"""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

_PER_ADDRESS = 100
_DRIP_SECONDS = 0.25
_HEAD = b"POST /v1/models/iris/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_BODY = b"POST /v1/models/iris/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{"
_LONG = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30
_SHORT = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


class SlowClients:
    """Are there while their ``with`` block runs; ``tls`` is how they speak to a port that wants it."""

    def __init__(
        self,
        port: int,
        *,
        silent: int = 0,
        idle: int = 0,
        headers: int = 0,
        bodies: int = 0,
        readers: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._port = port
        self._counts = (silent, idle, headers, bodies, readers)
        self._tls = tls
        self._addresses = _addresses()
        self._held: list[socket.socket] = []
        self._senders: list[socket.socket] = []
        self._readers: list[socket.socket] = []
        self._ended = Event()
        self._thread = Thread(target=self._drip, name="slow-clients", daemon=True)

    def __enter__(self) -> Self:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        silent, idle, headers, bodies, readers = self._counts
        for _ in range(silent):
            self._connect()
        for _ in range(idle):
            client = self._speak(_SHORT)
            client.recv(65536)
        self._senders += [self._speak(_HEAD) for _ in range(headers)]
        self._senders += [self._speak(_BODY) for _ in range(bodies)]
        self._readers += [self._speak(_LONG, buffer_bytes=4096) for _ in range(readers)]
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(30)
        for client in self._held:
            client.close()

    def _connect(self, buffer_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        self._held.append(client)
        client.settimeout(30)
        if buffer_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client.bind((next(self._addresses), 0))
        client.connect(("127.0.0.1", self._port))
        return client

    def _speak(self, request: bytes, buffer_bytes: int = 0) -> socket.socket:
        client = self._connect(buffer_bytes)
        if self._tls is not None:
            client = self._tls.wrap_socket(client, server_hostname="localhost")
            self._held.append(client)
        client.sendall(request)
        return client

    def _drip(self) -> None:
        for client in (*self._senders, *self._readers):
            client.setblocking(False)
        while not self._ended.wait(_DRIP_SECONDS):
            for client in self._senders:
                with suppress(OSError):  # the server is free to end it
                    client.send(b"1")
            for client in self._readers:
                with suppress(OSError):
                    client.recv(1)


def _addresses() -> Iterator[str]:
    """Addresses of this machine, each for some connections; none is that of other clients."""
    for number in range(256, 65536):
        for _ in range(_PER_ADDRESS):
            yield f"127.1.{number // 256}.{number % 256}"
