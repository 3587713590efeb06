from __future__ import annotations

import os
from pathlib import Path

import pytest

from secure_ml_api.errors import HomeError
from secure_ml_api.server.lock import is_locked, lock_home


def test_second_lock_on_a_home_is_refused_until_the_first_is_given_back(tmp_path: Path) -> None:
    descriptor = lock_home(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(HomeError, match="another server runs on this home"):
        lock_home(tmp_path)
    os.close(descriptor)
    assert not is_locked(tmp_path)


def test_missing_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    os.close(lock_home(tmp_path / "deep" / "home"))
    assert (tmp_path / "deep" / "home").stat().st_mode & 0o777 == 0o700


def test_home_that_is_a_file_is_refused_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError) as refused:
        lock_home(tmp_path / "home")
    assert str(tmp_path / "home") in str(refused.value)
    assert "\n" not in str(refused.value)
