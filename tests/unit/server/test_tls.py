"""From certificate files to a TLS context, or one line that says which file does not serve."""

from __future__ import annotations

import re
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from secure_ml_api.errors import SettingsError
from secure_ml_api.server.config import gunicorn_settings
from secure_ml_api.server.tls import TlsFiles, secured
from secure_ml_api.settings import read_settings
from support.certificates import Authority, Signed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def signed(authority: Authority) -> Signed:
    return authority.server()


def files_of(signed: Signed, **changes: Any) -> TlsFiles:
    return replace(TlsFiles(signed.certificate, signed.key, None, "none"), **changes)


def test_context_offers_nothing_but_forward_secrecy_with_authenticated_encryption(signed: Signed) -> None:
    context = secured(files_of(signed)).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for suite in context.get_ciphers():
        assert suite["aead"], suite
        assert suite["name"].startswith(("TLS_", "ECDHE-RSA-", "ECDHE-ECDSA-")), suite
    assert {suite["protocol"] for suite in context.get_ciphers()} == {"TLSv1.3", "TLSv1.2"}


def test_context_neither_renegotiates_nor_compresses(signed: Signed) -> None:
    options = secured(files_of(signed)).context.options
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION


def test_end_of_the_certificate_is_known(signed: Signed) -> None:
    assert secured(files_of(signed)).ends_at == signed.ends_at


def test_key_may_lie_in_the_certificate_file(signed: Signed, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(signed.certificate.read_bytes() + signed.key.read_bytes())
    both.chmod(0o600)
    settings = read_settings(tmp_path, {}, server={"tls_certificate": "both.pem"})
    files = TlsFiles.of(settings)
    assert files is not None
    assert secured(files).ends_at == signed.ends_at


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_key_that_is_private_serves(signed: Signed, mode: int) -> None:
    signed.key.chmod(mode)
    secured(files_of(signed))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o650, 0o601])
def test_key_that_others_can_reach_is_refused_with_what_to_do(signed: Signed, mode: int) -> None:
    signed.key.chmod(mode)
    with pytest.raises(SettingsError, match=rf"server\.tls_key: .* has mode {mode:04o}: chmod 600"):
        secured(files_of(signed))


def test_key_of_another_certificate_is_refused(signed: Signed, authority: Authority) -> None:
    with pytest.raises(SettingsError, match=r"server\.tls_key: .*does not belong to the certificate"):
        secured(files_of(signed, key=authority.server("other").key))


def test_key_of_another_kind_than_that_of_the_certificate_is_refused_as_such(signed: Signed, tmp_path: Path) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "other kind.key"
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(other.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"server\.tls_key: .*does not belong to the certificate"):
        secured(files_of(signed, key=path))


def test_chmod_that_is_asked_for_can_be_pasted_as_it_stands(signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "my key.pem"
    signed.key.rename(path)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=re.escape(f"chmod 600 '{path}'")):
        secured(files_of(signed, key=path))


def test_certificate_that_is_missing_is_not_blamed_on_the_key_that_should_be_in_it(tmp_path: Path) -> None:
    files = TlsFiles.of(read_settings(tmp_path, {}, server={"tls_certificate": "none.pem"}))
    assert files is not None
    with pytest.raises(SettingsError, match=r"server\.tls_certificate: .*none\.pem: No such file"):
        secured(files)


def test_encrypted_key_is_refused_without_asking_the_terminal(signed: Signed) -> None:
    key = serialization.load_pem_private_key(signed.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pkcs8 = serialization.PrivateFormat.PKCS8
    signed.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, encryption))
    with pytest.raises(SettingsError, match=r"server\.tls_key: .*encrypted"):
        secured(files_of(signed))


@pytest.mark.parametrize("part", ["certificate", "key", "client_ca"])
def test_missing_file_is_named_with_its_setting(signed: Signed, tmp_path: Path, part: str) -> None:
    setting = re.escape(f"server.tls_{part}: {tmp_path / 'none.pem'}: No such file")
    with pytest.raises(SettingsError, match=setting):
        secured(files_of(signed, **{part: tmp_path / "none.pem"}))


@pytest.mark.parametrize("part", ["certificate", "key", "client_ca"])
def test_file_that_is_no_pem_is_named_with_its_setting(signed: Signed, tmp_path: Path, part: str) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    rubbish.chmod(0o600)
    with pytest.raises(SettingsError, match=rf"server\.tls_{part}: .*rubbish\.pem"):
        secured(files_of(signed, **{part: rubbish}))


@pytest.mark.parametrize(
    "server",
    [
        {"tls_key": "a.key"},
        {"tls_client_ca": "ca.pem", "tls_client_certificates": "required"},
        {"tls_certificate": "a.pem", "tls_client_certificates": "required"},
        {"tls_certificate": "a.pem", "tls_client_ca": "ca.pem"},
    ],
)
def test_half_of_tls_is_refused(tmp_path: Path, server: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"server: tls_"):
        read_settings(tmp_path, {}, server=server)


def test_worker_class_that_speaks_no_tls_is_refused_with_those_that_do(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {}, server={"tls_certificate": "a.pem", "worker_class": "granian"})
    with pytest.raises(SettingsError, match=r"server\.tls_certificate: .*granian.*inplace or gthread"):
        gunicorn_settings(settings)


def refused(files: TlsFiles) -> str:
    with pytest.raises(SettingsError) as refusal:
        secured(files)
    return str(refusal.value)


@pytest.fixture
def revocations(tmp_path: Path) -> Path:
    return tmp_path / "revoked.pem"


def asking(signed: Signed, authority: Authority, revocations: Path) -> TlsFiles:
    return files_of(signed, client_ca=authority.pem, client_certificates="required", client_revocations=revocations)


def test_the_first_list_that_ends_is_known(signed: Signed, authority: Authority, revocations: Path) -> None:
    revocations.write_bytes(authority.revocations(days=7) + authority.revocations(days=3))
    end_at = secured(asking(signed, authority, revocations)).revocations_end_at
    assert end_at is not None
    assert (end_at - datetime.now(UTC)).days in (2, 3)


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"])
def test_a_file_without_a_list_is_refused_with_what_makes_one(
    signed: Signed, authority: Authority, revocations: Path, content: bytes
) -> None:
    revocations.write_bytes(content)
    words = f"server.tls_client_revocations: {revocations} holds no revocation list in PEM"
    assert refused(asking(signed, authority, revocations)).startswith(words)


def test_a_list_that_is_not_there_is_refused(signed: Signed, authority: Authority, revocations: Path) -> None:
    words = f"server.tls_client_revocations: {revocations}: No such file or directory"
    assert refused(asking(signed, authority, revocations)) == words


def test_a_list_of_a_stranger_is_refused_also_under_the_authoritys_name(
    signed: Signed, authority: Authority, revocations: Path, tmp_path: Path
) -> None:
    for stranger in (Authority(tmp_path / "else", "Another authority"), Authority(tmp_path / "thief")):
        revocations.write_bytes(authority.revocations() + stranger.revocations())
        assert "is not of an authority in server.tls_client_ca" in refused(asking(signed, authority, revocations))


def test_a_list_that_has_ended_is_refused_with_what_to_do(
    signed: Signed, authority: Authority, revocations: Path
) -> None:
    revocations.write_bytes(authority.revocations(days=-0.1))
    assert refused(asking(signed, authority, revocations)).endswith("get the newest of this authority")


def test_a_list_that_has_not_begun_is_refused(signed: Signed, authority: Authority, revocations: Path) -> None:
    revocations.write_bytes(authority.revocations(begun_days_ago=-1))
    assert "is valid from" in refused(asking(signed, authority, revocations))


def test_lists_without_an_authority_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    settings = {"tls_certificate": "server.pem", "tls_client_revocations": "revoked.pem"}
    with pytest.raises(SettingsError, match="tls_client_revocations needs tls_client_ca"):
        read_settings(tmp_path, {}, server=settings)
