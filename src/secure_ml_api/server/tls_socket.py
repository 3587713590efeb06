"""A TLS connection with the manners of the non-blocking socket under it.

Whoever reads from it need not know about handshakes and records: as long as one is not whole, it is as if nothing had
come.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ..telemetry.client_certificates import ClientCertificate

_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
# The other end left, or never spoke TLS to begin with; nobody has to be told.
_GONE = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class HandshakeFailed(ConnectionError):
    """The two ends did not come to terms; the text is one of OpenSSL's fixed ones."""


class TlsSocket(ssl.SSLSocket):
    """What ``SSLContext.wrap_socket`` returns here; shakes hands with ``recv``, as far as the client's bytes go.

    The server's part of a handshake is smaller than a socket's buffer for sending, so it never waits for that.
    """

    is_established = False
    failure = ""
    """Why the handshake failed; empty while it has not."""
    _is_over = False
    _on_established: Callable[[ClientCertificate | None], None] | None = None

    def when_established(self, call: Callable[[ClientCertificate | None], None]) -> None:
        """Have ``call`` called once, with the client's certificate if it showed one."""
        self._on_established = call

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Bytes of the client; raises BlockingIOError when there are none yet, HandshakeFailed, or another OSError."""
        try:
            if not (self.is_established or self._is_over):
                self._shake_hands()
            return super().recv(buflen, flags)
        except _NOT_NOW:
            raise BlockingIOError from None

    def send(self, data: Any, flags: int = 0) -> int:
        """As a socket's; after BlockingIOError the next call must begin with the same bytes."""
        try:
            return super().send(data, flags)
        except _NOT_NOW:
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say, first in TLS, that nothing more will be sent; what is received from now on means nothing."""
        if self.is_established:
            with suppress(OSError, ValueError):
                self.unwrap()
        self._is_over = True
        super().shutdown(how)

    def _shake_hands(self) -> None:
        try:
            self.do_handshake()
        except (*_NOT_NOW, *_GONE):
            raise
        except ssl.SSLError as error:
            raise self._failed(getattr(error, "verify_message", "") or error.reason or "unknown") from None
        certificate = self._client_certificate()
        if certificate is not None and certificate.ends_at <= datetime.now(UTC):
            # It was good when the session began that this connection resumes.
            raise self._failed("certificate has expired")
        self.is_established = True
        if self._on_established is not None:
            self._on_established(certificate)

    def _client_certificate(self) -> ClientCertificate | None:
        if self.context.verify_mode == ssl.CERT_NONE:
            return None
        der = self.getpeercert(binary_form=True)
        return None if der is None else ClientCertificate.of(der)

    def _failed(self, why: str) -> HandshakeFailed:
        self.failure = why
        return HandshakeFailed(why)
