"""A registry that is refreshed takes the home as it is, and reads nothing again that was not touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from secure_ml_api.models.signing import create_signing_key
from secure_ml_api.models.store import Store
from support.packages import loaded, publish, store_in


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def rewrite_unnoticed(path: Path) -> None:
    """Another byte in the file, which has the size and the time of before."""
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # file systems count time in ticks
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_refreshing_reads_nothing_again_that_is_loaded_and_was_not_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, version="1")
    registry = loaded(store)
    publish(store, version="2")
    verify = Mock(wraps=store.verify)
    monkeypatch.setattr(store, "verify", verify)
    registry.refresh(["tiny"])
    registry.refresh(["tiny"])
    verify.assert_called_once_with("tiny", "2")
    assert registry.resolve("tiny").version == "2"


@pytest.mark.parametrize("what", ["rewritten", "linked", "joined", "another key"])
def test_refreshing_verifies_again_what_was_touched(store: Store, what: str) -> None:
    publish(store, version="1")
    registry = loaded(store)
    directory = store.models_directory / "tiny" / "1"
    if what == "rewritten":
        rewrite_unnoticed(directory / "model.onnx")
    elif what == "linked":
        directory.rename(store.models_directory.parent / "elsewhere")
        directory.symlink_to(store.models_directory.parent / "elsewhere")
    elif what == "joined":
        (directory / "more").touch()
    else:
        shutil.rmtree(store.keys_directory)
        create_signing_key(store.keys_directory)
    registry.refresh(["tiny"])
    assert registry.unready == ("tiny",)
    assert "tiny/1" in registry.problems


def test_refreshing_keeps_a_session_whose_files_were_touched_and_still_verify(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    kept = registry.resolve("tiny")
    os.utime(store.models_directory / "tiny" / "1" / "model.onnx")
    registry.refresh(["tiny"])
    assert registry.resolve("tiny") is kept


def test_registry_says_whether_it_lacks_a_version_of_those_asked_for(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    assert not registry.lacks()
    publish(store, name="other")
    assert (registry.lacks(), registry.lacks(["tiny"]), registry.lacks(["other"])) == (True, False, True)


def test_loading_again_takes_the_home_as_it_is_and_keeps_unchanged_sessions(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    kept = registry.resolve("tiny").session
    publish(store, version="2")
    registry.load()
    assert registry.resolve("tiny").version == "2"
    assert registry.resolve("tiny", "1").session is kept
    store.remove("tiny", "2")
    registry.load()
    assert registry.resolve("tiny").version == "1"
