"""The commands of ``models`` about what is packed: what they change, what they say, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from secure_ml_api.auth.assembly import open_trail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import audit
from secure_ml_api.settings import read_settings
from support.packages import publish
from support.terminal import Terminal


def test_the_list_names_what_serves_and_what_is_refused(terminal: Terminal) -> None:
    for version in ("1", "2", "3"):
        publish(terminal.store, version=version)
    terminal.store.promote("tiny", "1")
    (terminal.store.models_directory / "tiny/2/model.onnx").write_bytes(b"other")
    rows = terminal.json("list")
    assert [(row["version"], row["verified"], row["serving"]) for row in rows] == [
        ("1", True, True),
        ("2", False, False),
        ("3", True, False),
    ]
    _, out, _ = terminal.run("list")
    assert "tiny/2  REFUSED" in out


def test_an_empty_home_lists_nothing_and_says_what_to_do(terminal: Terminal) -> None:
    assert terminal.json("list") == []
    assert "models pack" in terminal.run("list")[1]


def test_verify_shows_signature_digests_and_parity_again(terminal: Terminal) -> None:
    publish(terminal.store)
    [row] = terminal.json("verify")
    assert (row["verified"], row["rows"], row["largest_differences"]) == (True, 4, {"value": 0.0})
    assert terminal.json("verify", "tiny", "1") == [row]


def test_verify_fails_when_any_package_does_and_still_reports_all(terminal: Terminal) -> None:
    publish(terminal.store, name="good")
    publish(terminal.store, name="bad")
    (terminal.store.models_directory / "bad/1/sample.npz").write_bytes(b"other")
    status, out, err = terminal.run("verify", "--json")
    assert status == 1
    assert {row["name"]: row["verified"] for row in json.loads(out)} == {"bad": False, "good": True}
    assert "1 of 2 packages refused; bad/1: sample.npz" in err


def test_promote_and_rollback_change_what_serves(terminal: Terminal) -> None:
    publish(terminal.store, version="1")
    publish(terminal.store, version="2")
    assert terminal.json("promote", "tiny", "1")["aliases"] == {"production": "1", "previous": "2"}
    assert terminal.json("rollback", "tiny")["aliases"] == {"production": "2"}
    assert "choose one with `models promote tiny VERSION`" in terminal.refusal("rollback", "tiny")
    assert "tiny/1 is in production" in terminal.run("promote", "tiny", "1")[1]
    assert "tiny/2 is in production" in terminal.run("rollback", "tiny")[1]


def test_remove_deletes_one_version(terminal: Terminal) -> None:
    publish(terminal.store, version="1")
    publish(terminal.store, version="2")
    assert terminal.json("remove", "tiny", "1") == {"removed": {"name": "tiny", "version": "1"}, "workers": 0}
    assert terminal.store.versions("tiny") == ["2"]
    assert terminal.run("remove", "tiny", "2") == (0, "removed tiny/2\n", "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "nothing"], "no such model"),
        (["show", "tiny", "9"], "no such package"),
        (["show", "../keys"], "no such model"),
        (["verify", "nothing"], "no such model"),
        (["promote", "tiny", "9"], "no such package"),
        (["rollback", "tiny"], "no previous version"),
        (["remove", "tiny", "9"], "no such package"),
        (["remove", "../keys", "1"], "no such package"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_in_one_line(
    terminal: Terminal, arguments: list[str], complaint: str
) -> None:
    publish(terminal.store)
    assert complaint in terminal.refusal(*arguments)
    assert terminal.store.versions("tiny") == ["1"]


def test_changes_to_models_are_in_the_audit_trail_refused_ones_too(terminal: Terminal) -> None:
    publish(terminal.store, version="1")
    publish(terminal.store, version="2")
    terminal.run("promote", "tiny", "1")
    terminal.run("remove", "tiny", "1")
    settings = read_settings(terminal.home, {})
    database = Database(settings.database_url, 2.0)
    try:
        assert open_trail(settings, database).verify().broken is None
        with database.session() as session:
            rows = session.execute(select(audit.c.event, audit.c.outcome).order_by(audit.c.id)).all()
    finally:
        database.close()
    assert ("model.promote", "ok") in [tuple(row) for row in rows]
    assert ("model.remove", "PackageRefused") in [tuple(row) for row in rows]


@pytest.mark.parametrize("arguments", [["list"], ["show", "tiny"], ["verify"]])
def test_a_home_that_is_missing_is_not_taken_for_one_without_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    told = Terminal(tmp_path / "nowhere", capsys, monkeypatch).refusal(*arguments)
    assert "nowhere is missing: run `secure-ml-api init` with the same --home" in told


def test_a_home_that_was_never_prepared_is_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "init" in Terminal(tmp_path / "nowhere", capsys, monkeypatch).refusal("promote", "tiny", "1")
