"""The certificate of new connections, and its successor."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from secure_ml_api.server.certificates import Certificates
from secure_ml_api.server.tls import TlsFiles
from support.certificates import Authority, Signed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def signed(authority: Authority) -> Signed:
    return authority.server()


def shown(signed: Signed) -> Certificates:
    return Certificates(TlsFiles(signed.certificate, signed.key, None, "none"))


def settled(certificates: Certificates) -> bool:
    """Whether two looks, one after the other, take something over."""
    return certificates.refresh() or certificates.refresh()


def test_files_that_stay_are_not_read_again(signed: Signed) -> None:
    certificates = shown(signed)
    before = certificates.context
    assert not settled(certificates)
    assert certificates.context is before


def test_files_that_change_are_taken_over_when_they_have_come_to_rest(signed: Signed, authority: Authority) -> None:
    certificates, successor = shown(signed), authority.server("next", days=200)
    signed.replace(successor)
    assert not certificates.refresh()
    assert certificates.refresh()
    assert certificates.ends_at == successor.ends_at


def test_certificate_without_its_key_waits_for_the_key(
    signed: Signed, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    certificates, successor = shown(signed), authority.server("next", days=200)
    signed.certificate.write_bytes(successor.certificate.read_bytes())
    assert not certificates.refresh()
    signed.key.write_bytes(successor.key.read_bytes())
    assert settled(certificates)
    assert certificates.ends_at == successor.ends_at
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("damage", ["rubbish", "missing", "readable by others", "another's key"])
def test_successor_that_does_not_serve_changes_nothing_and_is_told_once(
    signed: Signed, authority: Authority, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    certificates = shown(signed)
    before = certificates.context
    if damage == "rubbish":
        signed.certificate.write_text("rubbish")
    elif damage == "missing":
        signed.certificate.unlink()
    elif damage == "another's key":
        signed.key.write_bytes(authority.server("other").key.read_bytes())
    else:
        signed.replace(authority.server("next"))
        signed.key.chmod(0o644)
    for _ in range(5):
        assert not certificates.refresh()
    assert certificates.context is before
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "the one before stays" in line


def test_good_successor_of_a_broken_one_is_taken_over(signed: Signed, authority: Authority) -> None:
    certificates, successor = shown(signed), authority.server("next", days=200)
    signed.certificate.write_text("rubbish")
    assert not settled(certificates)
    signed.replace(successor)
    assert settled(certificates)
    assert certificates.ends_at == successor.ends_at


def test_certificate_that_has_ended_is_shown_and_told_of(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    shown(authority.server("old", days=-1))
    assert [record.getMessage() for record in caplog.records] == ["the certificate has ended: clients will refuse it"]
