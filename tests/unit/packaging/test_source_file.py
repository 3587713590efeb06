"""Files that cannot be packed as they are say what to save instead."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.source_file import format_of


def torch_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", b"")
        archive.writestr("net/version", b"3")
    return buffer.getvalue()


@pytest.mark.parametrize("trust_pickle", [False, True])
@pytest.mark.parametrize("data", [torch_zip(), b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."])
def test_file_of_torch_save_is_to_be_saved_as_safetensors_or_exported(
    tmp_path: Path, data: bytes, trust_pickle: bool
) -> None:
    (tmp_path / "net.pt").write_bytes(data)
    with pytest.raises(PackingError, match=r"safetensors\.torch\.save_file.*--architecture.*torch\.export\.save"):
        format_of(tmp_path / "net.pt", trust_pickle=trust_pickle)


def test_hdf5_file_is_to_be_saved_as_keras_file(tmp_path: Path) -> None:
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(PackingError, match=r"HDF5.*save it as model\.keras"):
        format_of(tmp_path / "net.h5", trust_pickle=True)
