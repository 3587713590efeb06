"""A connection whose request, when it is plain and whole, becomes a WSGI environment without a thread and a parser."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from ipaddress import ip_address
from socket import socket
from typing import Any

from gunicorn.http.wsgi import base_environ

from ..settings import ServerSettings
from ..telemetry.client_certificates import CLIENT_CERTIFICATE, ClientCertificate
from .connection import Connection
from .gathering import Room
from .plain_request import Environ, is_dense, plain_fields, request_line, wants_close

Takes = Callable[[str, str, int], bool]
"""(method, path, bytes of the body) → whether the application answers such a request without waiting for anything."""

# Longer bodies are worth a thread, whatever the application thinks of them: all other connections would wait. Reading
# this much JSON keeps the interpreter busy for some 2 ms, wherever it happens.
_LONGEST_BODY_BYTES = 512 * 1024

# A header block up to this length is remembered, so that the next one like it need not be read again.
_REMEMBERED_BYTES = 4096


class PlainConnection(Connection):
    """A connection that reads a plain request itself."""

    def __init__(
        self,
        cfg: Any,
        sock: socket,
        client: Any,
        server: Any,
        limits: ServerSettings,
        *,
        room: Room,
        constants: Environ,
    ) -> None:
        super().__init__(cfg, sock, client, server, limits, room=room)
        self._constants = {**constants, **_ends(client, server)}
        self._scheme_fields = believed_scheme_fields(cfg, client[0])
        self._block = b""
        self._fields: Environ = {}
        self.handed_over: Environ | None = None
        """The environment of the request that a thread has, where it is plain."""

    def hand_over(self) -> None:
        """As ever, but a plain request needs no parser in the thread either."""
        self.handed_over = None if self.is_cut_short else self.take(_any, keeps_room=True)
        super().hand_over()

    def take(self, takes: Takes, *, keeps_room: bool = False) -> Environ | None:
        """The environment of the request that has come whole; it is not pending any more then.

        None when it is not for ``takes`` or not plain; then nothing has changed. With ``keeps_room`` its body counts
        until ``release``.
        """
        end = self._pending.find(b"\r\n")
        asked = request_line(bytes(self._pending[:end]))
        body_bytes = self._needed_bytes - self._head_bytes
        if asked is None or body_bytes > _LONGEST_BODY_BYTES or self._constants["SCRIPT_NAME"]:
            return None
        if not takes(asked.method, asked.path, body_bytes):
            return None
        fields = self._fields_of(bytes(self._pending[end + 2 : self._head_bytes - 2]))
        if fields is None or is_dense(fields) or int(fields.get("CONTENT_LENGTH", 0)) != body_bytes:
            return None
        environ = self._environ(asked.method, asked.path, fields)
        self.closes = bool(wants_close(fields))
        rest = bytes(self._pending[self._needed_bytes :])
        self._pending.clear()
        if not keeps_room:
            self.release()
        self._begin_anew(rest)
        self._was_under_v2 = asked.path.startswith("/v2/")
        return environ

    def _established(self, certificate: ClientCertificate | None) -> None:
        super()._established(certificate)
        if certificate is not None:
            self._constants[CLIENT_CERTIFICATE] = certificate

    def _fields_of(self, block: bytes) -> Environ | None:
        """The header fields in ``block``, read anew only when they differ from the request before."""
        if block == self._block:
            return self._fields
        fields = plain_fields(block)
        if fields is None or wants_close(fields) is None:
            return None
        if len(block) <= _REMEMBERED_BYTES:
            self._block, self._fields = block, fields
        return fields

    def _environ(self, method: str, path: str, fields: Environ) -> Environ:
        environ = {**self._constants, **fields}
        environ["REQUEST_METHOD"] = method
        environ["PATH_INFO"] = environ["RAW_URI"] = path
        environ["wsgi.input"] = io.BytesIO(bytes(memoryview(self._pending)[self._head_bytes : self._needed_bytes]))
        environ["secure_ml_api.arrived_at"] = self.arrived_at
        for key, secure in self._scheme_fields:
            if key in fields:
                environ["wsgi.url_scheme"] = "https" if fields[key] == secure else "http"
        return environ


def worker_constants(cfg: Any) -> Environ:
    """What is the same in every plain request to this worker."""
    return {
        **base_environ(cfg),
        "wsgi.multithread": True,
        "wsgi.url_scheme": "https" if cfg.is_ssl else "http",
        "QUERY_STRING": "",
        "SCRIPT_NAME": os.environ.get("SCRIPT_NAME", ""),  # where that is set, the path needs gunicorn's care
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


def _any(method: str, path: str, body_bytes: int) -> bool:  # noqa: ARG001 — the shape of Takes
    return True


def _ends(client: Any, server: Any) -> Environ:
    """Both ends of the connection; the server's is read from the socket that accepted it."""
    return {
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
    }


def believed_scheme_fields(cfg: Any, address: str) -> tuple[tuple[str, str], ...]:
    """The fields whose word on the scheme is taken from this client, with the value that means https."""
    if not any(ip_address(address) in network for network in cfg.forwarded_allow_networks()):
        return ()
    return tuple((f"HTTP_{name.replace('-', '_')}", value) for name, value in cfg.secure_scheme_headers.items())
