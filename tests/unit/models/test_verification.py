"""How files of packages are read; what is refused is in ``tests/security``."""

from __future__ import annotations

import os
from pathlib import Path

from secure_ml_api.models.verification import read_regular

_MIB = 1024 * 1024


def _reads() -> int:
    """Calls of this thread that have read something so far."""
    return int(Path("/proc/thread-self/io").read_text().partition("syscr: ")[2].partition("\n")[0])


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
