"""``secure-ml-api clients``: a client's life from a terminal, effective in running servers at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from secure_ml_api.database.tables import audit
from secure_ml_api.errors import TokenRefused
from support.console import Console
from support.doormen import Lodge, open_lodge


@pytest.fixture
def lodge(tmp_path: Path) -> Iterator[Lodge]:
    """What a running server holds."""
    opened = open_lodge(tmp_path)
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(str(tmp_path), capsys, monkeypatch)


def test_created_client_gets_a_token(lodge: Lodge, run: Console) -> None:
    ran = run("clients", "create", "my app", "--scope", "predict:iris", "--scope", "models:read", "--json")
    made = json.loads(ran.stdout)
    assert (ran.status, ran.stderr) == (0, "")
    lodge.client, lodge.secret = lodge.stores.clients.show(made["client_id"]), made["client_secret"]
    assert lodge.authenticator.authenticate(f"Bearer {lodge.token()}").scopes == {"predict:iris", "models:read"}


def test_quotas_are_those_that_were_given(lodge: Lodge, run: Console) -> None:
    limits = ["--rate", "5/second", "--rows", "7/hour", "--concurrency", "3"]
    made = json.loads(run("clients", "create", "app", "--scope", "models:read", *limits, "--json").stdout)
    assert (made["rate"], made["rows"], made["concurrency"]) == ("5/second", "7/hour", 3)


def test_secret_is_shown_once_and_never_again(lodge: Lodge, run: Console) -> None:
    secret = json.loads(run("clients", "create", "app", "--scope", "models:read", "--json").stdout)["client_secret"]
    for command in (["list"], ["show", "app"], ["list", "--json"], ["show", "app", "--json"]):
        ran = run("clients", *command)
        assert "app" in ran.stdout
        assert secret not in ran.stdout
        assert "argon2" not in ran.stdout


@pytest.mark.parametrize("command", ["disable", "delete"])
def test_client_that_was_taken_out_is_refused_by_a_running_server_at_once(
    lodge: Lodge, run: Console, command: str
) -> None:
    token = lodge.token()
    assert run("clients", command, "reader").status == 0
    with pytest.raises(TokenRefused):
        lodge.authenticator.authenticate(f"Bearer {token}")


def test_enabled_client_is_accepted_again_at_once(lodge: Lodge, run: Console) -> None:
    token = lodge.token()
    run("clients", "disable", "reader")
    assert json.loads(run("clients", "enable", "reader", "--json").stdout)["enabled"] is True
    assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


def test_tokens_of_a_client_whose_scopes_are_narrowed_lose_them_at_once(lodge: Lodge, run: Console) -> None:
    token, before = lodge.token(), lodge.authenticator.authenticate
    assert len(before(f"Bearer {token}").scopes) > 1
    narrowed = json.loads(run("clients", "set-scopes", "reader", "--scope", "models:read", "--json").stdout)
    assert narrowed["scopes"] == ["models:read"]
    assert lodge.authenticator.authenticate(f"Bearer {token}").scopes == {"models:read"}
    (line,) = json.loads(run("audit", "list", "--event", "client.set_scopes", "--json").stdout)
    assert line["outcome"] == "ok"


def test_rotated_secret_replaces_the_old_one(lodge: Lodge, run: Console) -> None:
    lodge.secret = json.loads(run("clients", "rotate-secret", lodge.client.client_id, "--json").stdout)["client_secret"]
    assert lodge.token()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nobody"], "no such client"),
        (["create", "reader", "--scope", "models:read"], "already"),
        (["create", "app", "--scope", "models:write"], "there are models:read"),
        (["set-scopes", "nobody", "--scope", "models:read"], "no such client"),
        (["set-scopes", "reader", "--scope", "models:write"], "there are models:read"),
        (["set-scopes", "reader", "--scope", " "], "no scope was given"),
        (["create", "app", "--scope", "models:read", "--rate", "fast"], "600/minute"),
        (["create", "app", "--scope", "models:read", "--concurrency", "0"], "concurrency"),
    ],
)
def test_failure_is_one_line_on_stderr_and_exit_1(lodge: Lodge, run: Console, arguments: list[str], says: str) -> None:
    ran = run("clients", *arguments)
    assert (ran.status, ran.stdout) == (1, "")
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_bad_usage_is_exit_2(lodge: Lodge, run: Console) -> None:
    assert run("clients", "create", "app").status == 2


def test_home_that_was_never_prepared_names_the_command_to_run(tmp_path: Path, run: Console) -> None:
    ran = run("clients", "list")
    assert ran.status == 1
    assert "secure-ml-api init" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_command_without_a_server_makes_no_state_file(tmp_path: Path, run: Console) -> None:
    lodge = open_lodge(tmp_path)
    lodge.stores.book._state.close()
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    assert run("clients", "disable", "reader").status == 0
    assert list((tmp_path / "run").iterdir()) == []


def test_changes_are_in_the_audit_trail_and_hold_no_secret(lodge: Lodge, run: Console) -> None:
    secret = json.loads(run("clients", "create", "app", "--scope", "models:read", "--json").stdout)["client_secret"]
    run("clients", "disable", "app")
    run("clients", "delete", "nobody")
    with lodge.stores.database.session() as connection:
        lines = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(line.event, line.outcome) for line in lines] == [
        ("client.create", "ok"),
        ("client.disable", "ok"),
        ("client.delete", "SubjectNotFound"),
    ]
    assert all(line.actor.startswith("operator:uid=") for line in lines)
    assert secret not in str(lines)
