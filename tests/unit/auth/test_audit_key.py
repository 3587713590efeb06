"""The key of the audit trail: what is said where it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.auth.audit_key import create_audit_key, read_audit_key
from secure_ml_api.errors import KeyFileError


def test_lost_key_is_restored_and_only_without_a_backup_made_anew(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    create_audit_key(keys)
    (keys / "audit.key").unlink()
    with pytest.raises(KeyFileError, match="is missing: restore it from a backup; only") as lost:
        read_audit_key(keys)
    assert "run `secure-ml-api init`" in str(lost.value)
    assert "no line written before can be verified" in str(lost.value)


def test_home_that_was_never_prepared_is_to_be_prepared(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="is missing: run `secure-ml-api init` with the same --home"):
        read_audit_key(tmp_path / "keys")
