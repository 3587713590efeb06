"""`doctor` names what is wrong, and only that."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.cli.doctor import _without_password
from support.certificates import Authority
from support.commands import run_command
from support.needs import free_port
from support.server import RunningServer


class Verdict:
    def __init__(self, home: Path, *arguments: str, **environ: str) -> None:
        ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
        environment = {f"SECURE_ML_API_SERVER__{key}": value for key, value in {**ports, **environ}.items()}
        self.finished = run_command("doctor", "--home", str(home), *arguments, environ={**os.environ, **environment})

    @property
    def wrong(self) -> dict[str, str]:
        answer: dict[str, Any] = json.loads(self.finished.stdout)
        assert answer["ok"] == (not self.finished.returncode)
        return {check["name"]: check["detail"] for check in answer["checks"] if not check["ok"]}


def test_home_as_init_leaves_it_is_well(home: Path) -> None:
    assert Verdict(home, "--json").wrong == {}


def test_lines_for_people_carry_words(home: Path) -> None:
    verdict = Verdict(home)
    lines = verdict.finished.stdout.splitlines()
    assert len(lines) > 10
    assert all(line.startswith("✓ ok ") for line in lines)


@pytest.mark.parametrize(("days", "is_well"), [(60, True), (13, False), (-1, False)])
def test_certificate_is_found_fault_with_while_there_is_time_to_renew_it(
    home: Path, tmp_path: Path, days: float, is_well: bool
) -> None:
    signed = Authority(tmp_path / "ca").server(days=days)
    verdict = Verdict(home, "--json", TLS_CERTIFICATE=str(signed.certificate), TLS_KEY=str(signed.key))
    assert list(verdict.wrong) == ([] if is_well else ["certificate"])
    assert f"ends at {signed.ends_at:%Y-%m-%dT%H:%M:%SZ}" in verdict.finished.stdout


def open_home(home: Path) -> None:
    home.chmod(0o777)


def flip_a_byte(home: Path) -> None:
    model = next((home / "models" / "iris" / "1").glob("*.onnx"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(data)


def date_the_future(home: Path) -> None:
    os.utime(home / "data.db", (4e9, 4e9))


def lose_the_database(home: Path) -> None:
    (home / "data.db").unlink()


def forget_the_keys(home: Path) -> None:
    for key in (home / "keys").iterdir():
        key.unlink()


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (open_home, {"home"}),
        (flip_a_byte, {"model iris/1"}),
        (date_the_future, {"clock"}),
        (lose_the_database, {"database"}),
        (forget_the_keys, {"keys", "models"}),
    ],
)
def test_what_is_spoiled_is_named_and_nothing_else(home: Path, spoil: Callable[[Path], None], names: set[str]) -> None:
    spoil(home)
    verdict = Verdict(home, "--json")
    assert set(verdict.wrong) == names
    assert verdict.finished.returncode == 1
    assert verdict.finished.stderr.count("\n") == 1


def test_outside_issuer_that_the_server_refuses_is_named(home: Path) -> None:
    issuer = '[[tokens.outside_issuers]]\nissuer = "x"\naudience = "y"\njwks = "http://x"\n'
    (home / "config.toml").write_text(issuer)
    assert "the jwks of x is not an https:// URL" in Verdict(home, "--json").wrong["configuration"]


def test_private_key_that_others_may_read_is_named_with_the_remedy(home: Path) -> None:
    for key in (home / "keys").iterdir():
        key.chmod(0o644)
    assert "chmod 600" in Verdict(home, "--json").wrong["keys"]


def test_unknown_setting_is_named(home: Path) -> None:
    (home / "config.toml").write_text("[tokens]\nlifetime = 3\n")
    assert "tokens.lifetime" in Verdict(home, "--json").wrong["configuration"]


def test_taken_port_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert port in Verdict(home, "--json", METRICS_PORT=port).wrong["metrics port"]


def test_ports_of_the_running_server_of_this_home_are_well(home: Path) -> None:
    with RunningServer(home, "--workers", "1") as server:
        ports = {"PORT": str(server.port), "METRICS_PORT": str(server.metrics_port)}
        assert Verdict(home, "--json", **ports).wrong == {}


def test_missing_home_is_not_made(tmp_path: Path) -> None:
    assert "home" in Verdict(tmp_path / "none", "--json").wrong
    assert not (tmp_path / "none").exists()


def test_settings_are_listed_with_their_meaning_and_without_passwords(home: Path) -> None:
    (home / "config.toml").write_text('[database]\nurl = "postgresql+psycopg://api:hunter2@db/api"\n')
    verdict = Verdict(home, "--settings", "--json")
    rows = {row["key"]: row for row in json.loads(verdict.finished.stdout)}
    assert rows["tokens.lifetime_seconds"]["default"] == 900
    assert all(row["meaning"] for row in rows.values())
    assert rows["database.url"]["value"] == "postgresql+psycopg://api:***@db/api"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://user:hunt@er2@cache/0", "redis://user:***@cache/0"),
        ("postgresql://db/api?user=api&password=hunter2", "postgresql://db/api?user=api&password=***"),
        ("postgresql://api@db/api", "postgresql://api@db/api"),
    ],
)
def test_no_form_of_a_password_in_a_url_is_shown(url: str, shown: str) -> None:
    assert _without_password(url) == shown
