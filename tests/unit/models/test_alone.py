"""One at a time where a small file is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.models.alone import alone


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """The folder, open for somebody else who would be alone with it."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_nobody_else_is_alone_with_a_folder_meanwhile(tmp_path: Path, held: int) -> None:
    with alone(tmp_path), pytest.raises(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_being_alone_leaves_nothing_behind(tmp_path: Path) -> None:
    with alone(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_holds_a_folder_for_ever_stops_nobody(tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_ml_api.models.alone._PATIENCE_SECONDS", 0.0)
    fcntl.flock(held, fcntl.LOCK_EX)
    with alone(tmp_path):
        pass


def test_file_system_without_locks_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with alone(tmp_path):
        pass
