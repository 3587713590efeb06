"""TLS as this server speaks it: from the certificate files of the settings to a context for new connections.

TLS 1.3, and TLS 1.2 with forward secrecy and authenticated encryption only: of what RFC 9325 recommends, all that
clients of the last ten years speak. No compression, no renegotiation, HTTP/1.1 alone.
"""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote

from cryptography.x509 import load_pem_x509_certificate

from ..errors import SettingsError
from ..settings import Settings
from .revocations import revoke

# The names of RFC 7301 for what is spoken here. TLS 1.3 has only suites that pass; these are for TLS 1.2.
_PROTOCOLS = ("http/1.1",)
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# What others than the owner and, for reading, the group may do with a private key.
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO

# How OpenSSL says that a key is not the certificate's: of its kind, of another kind, and the latter since OpenSSL 3.
_OF_ANOTHER_CERTIFICATE = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and, when clients are asked for theirs, their authorities and what these revoked are."""

    certificate: Path
    key: Path
    client_ca: Path | None
    client_certificates: str
    client_revocations: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> TlsFiles | None:
        """None for a server that speaks plain HTTP."""
        server = settings.server
        if not server.tls_certificate:
            return None
        home = settings.home.absolute()
        certificate = home / server.tls_certificate
        return cls(
            certificate=certificate,
            key=home / server.tls_key if server.tls_key else certificate,
            client_ca=home / server.tls_client_ca if server.tls_client_ca else None,
            client_certificates=server.tls_client_certificates,
            client_revocations=home / server.tls_client_revocations if server.tls_client_revocations else None,
        )

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when one of the files does, or what a link on the way to it leads to; raises OSError."""
        paths = (self.certificate, self.key, self.client_ca, self.client_revocations)
        found = [path.stat() for path in paths if path is not None]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


@dataclass(frozen=True, slots=True)
class Secured:
    """What new connections get, when its certificate ends, and when the first list of revoked certificates does."""

    context: ssl.SSLContext
    ends_at: datetime
    revocations_end_at: datetime | None = None


def secured(files: TlsFiles) -> Secured:
    """Read ``files``; raises SettingsError naming the setting whose file does not serve."""
    ends_at = _end_of(files.certificate)  # before the key, which may be in the same file
    _check_key_mode(files.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_SUITES)
    context.set_alpn_protocols(_PROTOCOLS)
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise SettingsError(f"server.tls_key: {files.key}: {_complaint(error)}") from None
    revocations_end_at = None
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise SettingsError(f"server.tls_client_ca: {files.client_ca}: {_complaint(error)}") from None
        if files.client_revocations is not None:
            revocations_end_at = revoke(context, files.client_ca, files.client_revocations)
    context.verify_mode = _VERIFY[files.client_certificates]
    return Secured(context, ends_at, revocations_end_at)


def check_certificate(settings: Settings) -> None:
    """Raises SettingsError when ``settings`` want TLS with files that do not serve."""
    files = TlsFiles.of(settings)
    if files is not None:
        secured(files)


def _end_of(certificate: Path) -> datetime:
    try:
        return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except OSError as error:
        raise SettingsError(f"server.tls_certificate: {certificate}: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"server.tls_certificate: {certificate} holds no certificate in PEM") from None


def _check_key_mode(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        raise SettingsError(f"server.tls_key: {key}: {error.strerror}") from None
    if mode & _TOO_OPEN:
        raise SettingsError(f"server.tls_key: {key} has mode {mode:04o}: chmod 600 {quote(str(key))}")


def _complaint(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return getattr(error, "strerror", None) or str(error)
    if error.reason in _OF_ANOTHER_CERTIFICATE:
        return "it does not belong to the certificate"
    return "it cannot be read as PEM, or it is encrypted"
