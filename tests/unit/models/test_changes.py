"""How workers learn of changes, and how it is known that all have heard."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest

from secure_ml_api.errors import StorageUnavailable
from secure_ml_api.models.changes import Changes
from support.caretaking import in_a_minute, report


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return Changes(tmp_path / "run")


def test_each_change_has_a_larger_number_also_when_the_folder_was_lost(changes: Changes, tmp_path: Path) -> None:
    first = changes.announce("a")
    shutil.rmtree(tmp_path / "run")
    second = changes.announce("b")
    assert first < second == changes.wanted().number
    assert changes.wanted().again == {"b": second}


def test_changes_of_many_at_once_are_all_remembered(changes: Changes) -> None:
    announcers = [Thread(target=changes.announce, args=(f"model-{number}",)) for number in range(20)]
    for announcer in announcers:
        announcer.start()
    for announcer in announcers:
        announcer.join()
    assert len(changes.wanted().again) == 20
    assert len(set(changes.wanted().again.values())) == 20


@pytest.mark.parametrize("data", [b"", b"[]", b'{"number": 1}', b"\xff"])
def test_spoiled_file_says_nothing(changes: Changes, tmp_path: Path, data: bytes) -> None:
    changes.announce("a")
    (tmp_path / "run" / "models" / "wanted").write_bytes(data)
    assert changes.wanted().number == 0


def test_change_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(StorageUnavailable):
        Changes(tmp_path / "run").announce("a")


def test_worker_that_is_gone_is_not_waited_for(changes: Changes) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    report(changes, 0, 1, {})
    theirs = changes._directory / "applied.1"
    theirs.write_bytes(
        (changes._directory / "applied.0").read_bytes().replace(str(os.getpid()).encode(), b"%d" % ended.pid)
    )
    assert [each.pid for each in changes.reports()] == [os.getpid()]


def test_worker_that_has_left_is_neither_waited_for_nor_asked_what_is_wrong(changes: Changes) -> None:
    number = changes.announce("a")
    report(changes, 0, 0, {"a/1": "a/1: as it was"}, unready=["a"], leaves_at=time.monotonic())
    report(changes, 1, number)
    assert [each.number for each in changes.wait(number, in_a_minute()) or ()] == [number]
    assert changes.problems() == {}
    assert changes.unready() == set()


def test_worker_that_does_not_take_a_change_is_waited_for_until_the_deadline(changes: Changes) -> None:
    report(changes, 0, 0, {})
    assert changes.wait(changes.announce("a"), time.monotonic() + 0.05) is None
