"""Whoever asks while a request is answered learns whose certificate it came with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..telemetry.client_certificates import CLIENT_CERTIFICATE, current_client_certificate

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class CertificateDoor:
    """A WSGI application around ``app``, for servers that ask clients for certificates; others do without its cost."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        current_client_certificate.set(environ.get(CLIENT_CERTIFICATE))
        return self._app(environ, start_response)
