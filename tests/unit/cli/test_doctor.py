"""How ``doctor`` tells what was found: well, to be warned of, or wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secure_ml_api.server import checkup
from secure_ml_api.server.checkup import Finding
from support.console import Console, Ran

GOOD = Finding("home", True, "is private")
WARNING = Finding("address", True, "may be public", warns=True)
WRONG = Finding("clock", False, "stands still")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(str(tmp_path), capsys, monkeypatch)


def found(run: Console, monkeypatch: pytest.MonkeyPatch, *findings: Finding, options: tuple[str, ...] = ()) -> Ran:
    monkeypatch.setattr(checkup, "examine", lambda settings: iter(findings))
    return run("doctor", *options)


def test_warning_has_a_mark_of_its_own_and_leaves_the_exit_status(
    run: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = found(run, monkeypatch, GOOD, WARNING)
    assert ran.stdout.splitlines() == ["✓ ok     home     is private", "! warn   address  may be public"]
    assert (ran.status, ran.stderr) == (0, "")


def test_warning_hides_nothing_that_is_wrong(run: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = found(run, monkeypatch, WARNING, WRONG)
    assert ran.stdout.splitlines()[1] == "✗ wrong  clock    stands still"
    assert ran.status == 1


def test_programs_are_told_of_warnings_apart(run: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.loads(found(run, monkeypatch, GOOD, WARNING, options=("--json",)).stdout)
    assert said["ok"] is True
    assert [(check["ok"], check["warning"]) for check in said["checks"]] == [(True, False), (True, True)]
