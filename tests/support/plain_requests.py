"""One request as the quick reader takes it, and as gunicorn's own parser does."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from secure_ml_api.server.gathering import Room
from secure_ml_api.server.host_field import names_its_host
from secure_ml_api.server.plain_connection import PlainConnection, worker_constants
from secure_ml_api.setting_sections import ServerSettings

CLIENT, SERVER = ("192.0.2.7", 4711), ("127.0.0.1", 8000)
# What only one of the two readers puts in, and what they put in as objects of their own.
APART = ("gunicorn.socket", "wsgi.early_hints", "wsgi.errors", "wsgi.input", "secure_ml_api.arrived_at")


def configuration() -> Config:
    cfg = Config()
    cfg.set("header_map", "refuse")
    cfg.set("forwarded_allow_ips", "192.0.2.0/24")
    cfg.set("secure_scheme_headers", {"X-FORWARDED-PROTO": "https"})
    cfg.set("limit_request_fields", 64)
    cfg.set("limit_request_field_size", 8800)
    return cfg


CFG = configuration()


def taken(request: bytes) -> dict[str, Any] | None:
    """The environment that the quick reader makes of ``request``."""
    client, server = socket.socketpair()
    with client, server:
        connection = PlainConnection(
            CFG,
            server,
            CLIENT,
            SERVER,
            ServerSettings(),
            room=Room(0),
            constants=worker_constants(CFG),
        )
        client.sendall(request)
        assert connection.receive()
        plain = connection.plain() if connection.is_complete else None
        return None if plain is None else connection.take(plain)


def parsed(request: bytes) -> tuple[dict[str, Any], bytes]:
    """The environment and the body that gunicorn makes of it; raises what gunicorn thinks of it."""
    read = next(RequestParser(CFG, iter([request]), CLIENT))
    return environ_of(read), read.body.read()


def environ_of(read: Any) -> dict[str, Any]:
    """The environment for a request that gunicorn's parser has read."""
    client, server = socket.socketpair()
    with client, server:
        environ: dict[str, Any] = wsgi.create(read, server, CLIENT, SERVER, CFG)[1]
        environ["wsgi.multithread"] = True
        return environ


def apart(environ: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in environ.items() if key not in APART}


def assert_read_alike(request: bytes, environ: dict[str, Any]) -> None:
    expected, body = parsed(request)
    assert names_its_host(expected.get("HTTP_HOST"))
    assert apart(environ) == apart(expected)
    assert environ["wsgi.input"].read() == body
