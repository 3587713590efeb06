"""When the shared file is written through its map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.state import environment

MEBIBYTE = 1024 * 1024


def write_through(opened: Any) -> bytes:
    with opened.begin(write=True) as transaction:
        transaction.put(b"key", b"value")
    with opened.begin() as transaction:
        value: bytes = transaction.get(b"key")
    return value


def test_a_file_system_that_reserves_gets_the_whole_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "filesystem", lambda directory: "ext4")
    path = tmp_path / "state.mdb"
    opened = environment.open_environment(path, MEBIBYTE, tables=1)
    assert opened.flags()["writemap"]
    assert path.stat().st_blocks * 512 >= MEBIBYTE
    assert write_through(opened) == b"value"


@pytest.mark.parametrize("kind", ["btrfs", "overlay", "nfs4", ""])
def test_any_other_file_system_is_written_with_calls_that_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(environment, "filesystem", lambda directory: kind)
    opened = environment.open_environment(tmp_path / "state.mdb", MEBIBYTE, tables=1)
    assert not opened.flags()["writemap"]
    assert write_through(opened) == b"value"


def test_a_disk_with_little_room_is_not_reserved_but_still_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr(environment, "filesystem", lambda directory: "ext4")
    path = tmp_path / "state.mdb"
    opened = environment.open_environment(path, (free_bytes * 2 // 3) // 4096 * 4096, tables=1)
    assert not opened.flags()["writemap"]
    assert path.stat().st_blocks * 512 < MEBIBYTE
    assert write_through(opened) == b"value"


def test_reserving_leaves_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert environment.reserve(path, MEBIBYTE)
    assert path.read_bytes()[:7] == b"content"
    assert not environment.reserve(tmp_path / "missing", MEBIBYTE)


def test_the_file_system_of_a_directory_is_one_that_the_kernel_knows(tmp_path: Path) -> None:
    known = Path("/proc/filesystems").read_text().split()
    assert environment.filesystem(Path("/proc")) == "proc"
    assert environment.filesystem(tmp_path) in {*known, ""}
    assert environment.filesystem(tmp_path / "missing") == ""
