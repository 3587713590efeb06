"""Certificates for tests: an authority in a folder, and what it signs, written as the PEM files that servers read."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key, in PEM files; ``subject`` as RFC 4514 writes it."""

    certificate: Path
    key: Path
    subject: str
    ends_at: datetime
    serial: int

    def settings(self) -> dict[str, str]:
        """What makes a server show this certificate, as environment variables."""
        return {
            "SECURE_ML_API_SERVER__TLS_CERTIFICATE": str(self.certificate),
            "SECURE_ML_API_SERVER__TLS_KEY": str(self.key),
        }

    def replace(self, other: Signed) -> None:
        """Put ``other`` in the place of these files, each at one stroke, as a renewing program does."""
        for old, new in ((self.certificate, other.certificate), (self.key, other.key)):
            beside = old.with_suffix(".new")
            beside.write_bytes(new.read_bytes())
            beside.chmod(0o600)
            beside.replace(old)


class Authority:
    """A certificate authority whose files lie in ``folder``; ``pem`` is its own certificate."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.pem = folder / "authority.pem"
        builder = _builder(self._name, self._name, self._key, datetime.now(UTC) + 3650 * _DAY)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "server", *, days: float = 90) -> Signed:
        """A certificate for ``localhost`` and ``127.0.0.1``."""
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        return self._sign(name, ExtendedKeyUsageOID.SERVER_AUTH, days, names)

    def client(self, name: str, *, days: float = 90) -> Signed:
        """A certificate that names the client ``name``."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH, days, None)

    def revocations(self, *revoked: Signed, days: float = 7, begun_days_ago: float = 1) -> bytes:
        """The list of what this authority has revoked, in PEM, good for ``days`` from now."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - begun_days_ago * _DAY)
            .next_update(now + days * _DAY)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(now - _DAY).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def trusting(self, client: Signed | None = None) -> ssl.SSLContext:
        """How a client connects that trusts this authority, and shows ``client``."""
        context = ssl.create_default_context(cafile=str(self.pem))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    def _sign(
        self, name: str, purpose: x509.ObjectIdentifier, days: float, names: x509.SubjectAlternativeName | None
    ) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        ends_at = (datetime.now(UTC) + days * _DAY).replace(microsecond=0)
        builder = (
            _builder(_named(name), self._name, key, ends_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem, subject = self._folder / f"{name}.pem", certificate.subject.rfc4514_string()
        files = Signed(pem, pem.with_suffix(".key"), subject, ends_at, certificate.serial_number)
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends_at: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - 3650 * _DAY)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
