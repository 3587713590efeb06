"""Which client certificates are revoked: the lists (CRLs, RFC 5280) of the authorities that issued them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import (
    Certificate,
    CertificateRevocationList,
    load_pem_x509_certificates,
    load_pem_x509_crl,
)

from ..errors import SettingsError

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def revoke(context: ssl.SSLContext, authorities: Path, revocations: Path) -> datetime | None:
    """Let ``context`` refuse the certificates that the lists in ``revocations`` name; when the first of the lists ends.

    A list is looked at for the certificate that a client shows, not for the authorities above it. OpenSSL refuses all
    certificates of an authority whose list has ended, or is not there; what can be said of that before is said here:
    raises SettingsError when a file cannot be read, or a list is not of ``authorities``, not valid yet, or over.
    """
    where = f"server.tls_client_revocations: {revocations}"
    try:
        lists = [load_pem_x509_crl(each) for each in _LIST.findall(revocations.read_bytes())]
    except OSError as error:
        raise SettingsError(f"{where}: {error.strerror}") from None
    except ValueError:
        lists = []
    if not lists:
        raise SettingsError(f"{where} holds no revocation list in PEM (openssl crl -inform DER … makes one of DER)")
    known = load_pem_x509_certificates(authorities.read_bytes())
    for each in lists:
        _check(each, known, where)
    context.load_verify_locations(revocations)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return min((each.next_update_utc for each in lists if each.next_update_utc is not None), default=None)


def _check(revoked: CertificateRevocationList, authorities: Iterable[Certificate], where: str) -> None:
    issuer, now = revoked.issuer.rfc4514_string(), datetime.now(UTC)
    if not any(_signed(revoked, authority) for authority in authorities):
        raise SettingsError(f"{where}: the list of {issuer} is not of an authority in server.tls_client_ca")
    if revoked.last_update_utc > now:
        raise SettingsError(f"{where}: the list of {issuer} is valid from {revoked.last_update_utc.isoformat()} on")
    if revoked.next_update_utc is not None and revoked.next_update_utc <= now:
        ended = revoked.next_update_utc.isoformat()
        raise SettingsError(f"{where}: the list of {issuer} ended at {ended}: get the newest of this authority")


def _signed(revoked: CertificateRevocationList, authority: Certificate) -> bool:
    if authority.subject != revoked.issuer:
        return False
    try:  # keys that sign nothing raise TypeError
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, UnsupportedAlgorithm):
        return False
