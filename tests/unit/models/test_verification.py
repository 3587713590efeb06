"""How files of packages are read; what is refused is in ``tests/security``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from secure_ml_api.models.verification import read_regular

_MIB = 1024 * 1024


def _reads() -> int:
    """Calls of this thread that have read something so far."""
    return int(Path("/proc/thread-self/io").read_text().partition("syscr: ")[2].partition("\n")[0])


def _flags(address: int) -> list[str]:
    """What the kernel was told about the memory at ``address``."""
    is_there = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            is_there = int(match[1], 16) <= address < int(match[2], 16)
        elif is_there and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError("no memory is there")


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the kernel has no large pages")
def test_a_large_file_is_read_into_large_pages_which_are_soon_given_back(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(40 * _MIB)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = read_regular(directory, "model.onnx", 40 * _MIB)
    finally:
        os.close(directory)
    assert "hg" in _flags(id(data) + 20 * _MIB)


def test_a_large_file_is_read_in_pieces_between_which_others_have_the_cpu(tmp_path: Path) -> None:
    data = os.urandom(8 * _MIB)
    (tmp_path / "model.onnx").write_bytes(data)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = _reads()
        assert read_regular(directory, "model.onnx", len(data)) == data
        assert _reads() - before >= 8
        assert read_regular(directory, "model.onnx", 16 * _MIB) == data
    finally:
        os.close(directory)
