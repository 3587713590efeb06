"""A request as granian tells of it, as a WSGI environment; with the refusals that its engine leaves to us.

The engine (hyper) has parsed the request, and refuses what is not HTTP. It is more lenient than gunicorn's parser in
some places, and those are closed here. What it changes cannot be undone: the path comes decoded as UTF-8, with bytes
that are no UTF-8 replaced.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .host_field import names_its_host

_METHOD = re.compile(r"[A-Z]{3,20}")
_SINGLE = frozenset({"host", "content-type", "content-length", "authorization"})
_PROTOCOLS = {"1": "HTTP/1.0", "1.1": "HTTP/1.1"}

Environ = dict[str, Any]


class Refused(Exception):
    """The request is not for the application; ``status`` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@lru_cache(maxsize=1024)
def _key_of(name: str) -> str:
    """Where a field goes; raises Refused for X_Forwarded_For, which is not X-Forwarded-For."""
    if "_" in name:
        raise Refused(400)
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


@lru_cache(maxsize=1024)
def _ends(client: str, server: str) -> tuple[str, str, str, str]:
    """Host and port of the client, host and port of the socket that accepted it."""
    client_host, _, client_port = client.rpartition(":")
    server_host, _, server_port = server.rpartition(":")
    return client_host.strip("[]"), client_port, server_host.strip("[]"), server_port


def environ_of(scope: Any, constants: Environ, limits: Any) -> Environ:
    """The environment for ``scope`` without ``wsgi.input``; ``limits`` is gunicorn's configuration.

    Raises Refused.
    """
    method, path, query = scope.method, scope.path, scope.query_string
    if len(method) + len(path) + len(query) > limits.limit_request_line:
        raise Refused(414)
    if not _METHOD.fullmatch(method):
        raise Refused(400)
    client_host, client_port, server_host, server_port = _ends(scope.client, scope.server)
    environ = {
        **constants,
        "REQUEST_METHOD": method,
        "PATH_INFO": path if path.isascii() else path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": _PROTOCOLS[scope.http_version],
        "REMOTE_ADDR": client_host,
        "REMOTE_PORT": client_port,
        "SERVER_NAME": server_host,
        "SERVER_PORT": server_port,
    }
    _add_fields(environ, scope.headers, limits)
    environ.pop("HTTP_UPGRADE", None)  # to nothing here can be upgraded
    if not names_its_host(environ.get("HTTP_HOST"), needs_one=scope.http_version != "1"):
        raise Refused(400)
    if environ.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
        raise Refused(417)
    if "HTTP_TRANSFER_ENCODING" in environ:
        # The engine gathers a body without a length whole, however long it gets.
        raise Refused(411)
    return environ


def _add_fields(environ: Environ, headers: Any, limits: Any) -> None:
    items = headers.items()
    if len(items) > limits.limit_request_fields:
        raise Refused(431)
    names = set()
    for name, value in items:
        if len(name) + len(value) + 4 > limits.limit_request_field_size:
            raise Refused(431)
        key = _key_of(name)
        if name in names:
            if name in _SINGLE:
                raise Refused(400)
            value = f"{environ[key]},{value}"  # noqa: PLW2901 — joined as gunicorn joins them
        names.add(name)
        environ[key] = value
    if len(names) != len(headers):
        raise Refused(400)  # granian leaves out a field whose value is not ASCII
