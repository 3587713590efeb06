"""``secure-ml-api keys``: rotation and emergencies from a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.errors import TokenRefused
from support.console import Console
from support.doormen import Lodge, open_lodge


@pytest.fixture
def lodge(tmp_path: Path) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path)
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(str(tmp_path), capsys, monkeypatch)


def test_keys_are_listed_without_their_private_halves(lodge: Lodge, run: Console) -> None:
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [key["status"] for key in listed] == ["active", "next"]
    assert all(set(key) == {"kid", "alg", "status", "created", "retire_after"} for key in listed)


def test_rotation_keeps_the_tokens_of_before(lodge: Lodge, run: Console) -> None:
    token = lodge.token()
    following = json.loads(run("keys", "list", "--json").stdout)[1]["kid"]
    assert json.loads(run("keys", "rotate", "--json").stdout)["kid"] == following
    lodge.authenticator.refresh()
    assert lodge.authenticator.authenticate(f"Bearer {token}").token_id
    assert "retiring" in run("keys", "list").stdout


def test_emergency_refuses_the_tokens_of_before(lodge: Lodge, run: Console) -> None:
    token = lodge.token()
    active = json.loads(run("keys", "list", "--json").stdout)[0]["kid"]
    assert run("keys", "retire", active, "--now").status == 0
    lodge.authenticator.refresh()
    with pytest.raises(TokenRefused):
        lodge.authenticator.authenticate(f"Bearer {token}")


def test_changes_of_keys_are_in_the_audit_trail_with_their_operator(lodge: Lodge, run: Console) -> None:
    first, second = (key["kid"] for key in json.loads(run("keys", "list", "--json").stdout))
    run("keys", "rotate")
    third = json.loads(run("keys", "retire", second, "--json").stdout)["kid"]
    fourth = json.loads(run("keys", "retire", third, "--now", "--json").stdout)["kid"]
    assert len({first, second, third, fourth}) == 4
    assert audited(run, "key.rotate") == [{"active": second}]
    assert audited(run, "key.retire") == [
        {"active": third, "kid": second, "immediately": False},
        {"active": fourth, "kid": third, "immediately": True},
    ]
    assert run("audit", "verify").status == 0


def test_keys_that_were_not_changed_leave_no_line_in_the_audit_trail(lodge: Lodge, run: Console) -> None:
    run("keys", "list")
    run("keys", "retire", "nobody")
    assert audited(run, "key.rotate") == audited(run, "key.retire") == []


def audited(run: Console, event: str) -> list[dict[str, object]]:
    """What the lines of ``event`` say, the eldest first; each was done by this user, and went well."""
    lines = json.loads(run("audit", "list", "--event", event, "--json").stdout)
    assert all((line["actor"], line["outcome"]) == (f"operator:uid={os.getuid()}", "ok") for line in lines)
    return [line["details"] for line in lines]


def test_emergency_works_while_the_database_is_away(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    lodge.stores.trail.flush()
    (tmp_path / "data.db").rename(tmp_path / "away.db")
    active = json.loads(run("keys", "list", "--json").stdout)[0]["kid"]
    ran = run("keys", "retire", active, "--now")
    assert ran.status == 0
    assert "audit trail could not be written" in ran.stderr
    assert active not in run("keys", "list").stdout


def test_unknown_key_is_one_line_and_exit_1(lodge: Lodge, run: Console) -> None:
    ran = run("keys", "retire", "nobody")
    assert (ran.status, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 1


def test_key_open_to_others_says_the_chmod_to_run(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    (tmp_path / "keys").chmod(0o755)
    ran = run("keys", "rotate")
    assert ran.status == 1
    assert f"chmod 700 {tmp_path / 'keys'}" in ran.stderr
