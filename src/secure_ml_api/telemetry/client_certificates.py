"""Who the other end of the connection proved to be, where clients are asked for certificates."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Self

CLIENT_CERTIFICATE = "secure_ml_api.client_certificate"
"""In a WSGI environment: the ClientCertificate that the TLS handshake verified; absent without one."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that a TLS handshake verified.

    ``thumbprint`` is what ``cnf.x5t#S256`` of a token bound to it says (RFC 8705 section 3.1).
    """

    subject: str
    """The distinguished name as RFC 4514 writes it."""
    thumbprint: str
    ends_at: datetime

    @classmethod
    def of(cls, der: bytes) -> Self:
        """The certificate in ``der``; raises ValueError when that is none."""
        from cryptography.x509 import load_der_x509_certificate

        certificate = load_der_x509_certificate(der)
        thumbprint = urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode("ascii")
        return cls(certificate.subject.rfc4514_string(), thumbprint, certificate.not_valid_after_utc)


current_client_certificate: ContextVar[ClientCertificate | None] = ContextVar("client_certificate", default=None)
"""That of the request that the current thread answers; the access log and the audit trail name its subject."""
