from __future__ import annotations

import stat
from pathlib import Path

import pytest

from secure_ml_api.errors import KeyFileError, PackageRefused
from secure_ml_api.models.signing import (
    PRIVATE_KEY_FILE,
    PUBLIC_KEY_FILE,
    check_signature,
    create_signing_key,
    read_signing_key,
    read_verifying_key,
    sign,
)


def test_a_key_is_made_once_with_a_private_mode(tmp_path: Path) -> None:
    assert create_signing_key(tmp_path / "keys")
    made = (tmp_path / "keys" / PRIVATE_KEY_FILE).read_bytes()
    assert not create_signing_key(tmp_path / "keys")
    assert (tmp_path / "keys" / PRIVATE_KEY_FILE).read_bytes() == made
    assert stat.S_IMODE((tmp_path / "keys" / PRIVATE_KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [PRIVATE_KEY_FILE, PUBLIC_KEY_FILE]


def test_a_lost_public_key_is_made_again_from_the_private_one(tmp_path: Path) -> None:
    create_signing_key(tmp_path)
    before = (tmp_path / PUBLIC_KEY_FILE).read_bytes()
    (tmp_path / PUBLIC_KEY_FILE).unlink()
    assert not create_signing_key(tmp_path)
    assert (tmp_path / PUBLIC_KEY_FILE).read_bytes() == before


def test_a_lost_private_key_is_not_replaced_silently(tmp_path: Path) -> None:
    create_signing_key(tmp_path)
    (tmp_path / PRIVATE_KEY_FILE).unlink()
    with pytest.raises(KeyFileError, match="restore"):
        create_signing_key(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o606])
def test_a_private_key_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    create_signing_key(tmp_path)
    (tmp_path / PRIVATE_KEY_FILE).chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 .*{PRIVATE_KEY_FILE}"):
        read_signing_key(tmp_path)


def test_a_public_key_that_others_may_write_is_refused(tmp_path: Path) -> None:
    create_signing_key(tmp_path)
    (tmp_path / PUBLIC_KEY_FILE).chmod(0o666)
    with pytest.raises(KeyFileError, match="chmod 644"):
        read_verifying_key(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    create_signing_key(tmp_path)
    (tmp_path / PRIVATE_KEY_FILE).write_bytes(content)
    (tmp_path / PUBLIC_KEY_FILE).write_bytes(content)
    with pytest.raises(KeyFileError, match="backup"):
        read_signing_key(tmp_path)
    with pytest.raises(KeyFileError, match="backup"):
        read_verifying_key(tmp_path)


def test_a_missing_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="secure-ml-api init"):
        read_verifying_key(tmp_path)


def test_a_link_in_place_of_the_key_is_refused(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "elsewhere")
    (tmp_path / PRIVATE_KEY_FILE).symlink_to(tmp_path / "elsewhere" / PRIVATE_KEY_FILE)
    with pytest.raises(KeyFileError, match="regular file"):
        read_signing_key(tmp_path)


def test_a_signature_holds_for_exactly_the_signed_bytes(tmp_path: Path) -> None:
    create_signing_key(tmp_path)
    signature = sign(read_signing_key(tmp_path), b"manifest")
    key = read_verifying_key(tmp_path)
    check_signature(key, b"manifest", signature)
    with pytest.raises(PackageRefused, match="signature"):
        check_signature(key, b"manifest ", signature)


def test_a_signature_over_the_bare_bytes_does_not_count(tmp_path: Path) -> None:
    create_signing_key(tmp_path)
    bare = read_signing_key(tmp_path).sign(b"manifest")
    with pytest.raises(PackageRefused, match="signature"):
        check_signature(read_verifying_key(tmp_path), b"manifest", bare)
