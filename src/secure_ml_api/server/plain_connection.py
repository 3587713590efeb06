"""A connection whose request, when it is plain and whole, becomes a WSGI environment without a thread and a parser."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from ipaddress import ip_address
from socket import socket
from typing import Any, NamedTuple

from gunicorn.http.wsgi import base_environ

from ..setting_sections import ServerSettings
from ..telemetry.client_certificates import CLIENT_CERTIFICATE, ClientCertificate
from .connection import Connection
from .gathering import Room
from .plain_head import PlainHead
from .plain_request import Environ, RequestLine, is_dense, plain_fields, request_line, wants_close

Takes = Callable[[str, str, int], bool]
"""(method, path, bytes of the body) → whether the application answers such a request without waiting for anything."""

# Longer bodies are worth a thread, whatever the application thinks of them: all other connections would wait. Reading
# this much JSON keeps the interpreter busy for some 2 ms, wherever it happens.
_LONGEST_BODY_BYTES = 512 * 1024

# A header block up to this length is remembered, so that the next one like it need not be read again.
_REMEMBERED_BYTES = 4096


class Plain(NamedTuple):
    """A header block, and what it says."""

    head: bytes
    body_bytes: int
    method: str
    path: str
    closes: bool
    environ: Environ
    said: PlainHead


_NONE = Plain(b"", 0, "", "", closes=True, environ={}, said=PlainHead("", None))


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
        self._plain = _NONE
        self.handed_over: Environ | None = None
        """The environment of the request that a thread has, where it is plain."""

    def hand_over(self) -> None:
        """As ever, but a plain request needs no parser in the thread either."""
        if self.handed_over is None and not self.is_cut_short:
            plain = self.plain()
            self.handed_over = None if plain is None else self.take(plain, keeps_room=True)
        super().hand_over()

    def plain(self) -> Plain | None:
        """What the header block says of the request that has come whole; None where that is for a general parser.

        It is read anew only when it differs from that of the request before.
        """
        body_bytes = self._needed_bytes - self._head_bytes
        head = bytes(self._pending[: self._head_bytes])
        if head == self._plain.head and body_bytes == self._plain.body_bytes:
            return self._plain
        line, _, block = head.partition(b"\r\n")
        asked = request_line(line)
        if asked is None or body_bytes > _LONGEST_BODY_BYTES or self._constants["SCRIPT_NAME"]:
            return None
        fields = plain_fields(block[:-2])
        closes = None if fields is None else wants_close(fields)
        if fields is None or closes is None or is_dense(fields) or int(fields.get("CONTENT_LENGTH", 0)) != body_bytes:
            return None
        said = PlainHead(asked.path, fields.get("HTTP_AUTHORIZATION"), body_bytes)
        plain = Plain(head, body_bytes, asked.method, asked.path, closes, self._environ(asked, fields), said)
        if len(head) <= _REMEMBERED_BYTES:
            self._plain = plain
        return plain

    @property
    def plain_head(self) -> PlainHead | None:
        plain = self.plain()
        if plain is None:
            return super().plain_head
        return None if plain.closes else plain.said

    def take(self, plain: Plain, *, keeps_room: bool = False) -> Environ:
        """The environment of the request that has come whole and is ``plain``; it is not pending any more then.

        With ``keeps_room`` its body counts until ``release``.
        """
        environ = plain.environ.copy()
        environ["wsgi.input"] = io.BytesIO(bytes(memoryview(self._pending)[self._head_bytes : self._needed_bytes]))
        environ["secure_ml_api.arrived_at"] = self.arrived_at
        self.closes = plain.closes
        rest = bytes(self._pending[self._needed_bytes :])
        self._pending.clear()
        if not keeps_room:
            self.release()
        self._begin_anew(rest)
        self._was_under_v2 = plain.path.startswith("/v2/")
        return environ

    def _established(self, certificate: ClientCertificate | None) -> None:
        super()._established(certificate)
        if certificate is not None:
            self._constants[CLIENT_CERTIFICATE] = certificate

    def _environ(self, asked: RequestLine, fields: Environ) -> Environ:
        """All of the environment that the next request with the same header block will have, too."""
        environ = {**self._constants, **fields}
        environ["REQUEST_METHOD"] = asked.method
        environ["PATH_INFO"] = environ["RAW_URI"] = asked.path
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
