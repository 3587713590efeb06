"""Secrets stay where they belong: in private files, and in no argument, environment of others, log or core file."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from secure_ml_api.auth import key_material
from secure_ml_api.auth.client_authentication import Credentials
from secure_ml_api.auth.secrets import new_secret
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from secure_ml_api.telemetry.request_ids import new_request_id
from support.console import Console
from support.needs import free_port
from support.packages import publish
from support.server import SERVE, RunningServer, command_line

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.fixture(scope="module")
def served(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server started in a home that others may look into, by a shell that takes no rights from anybody."""
    home = Path(shutil.copytree(prepared_home, tmp_path_factory.mktemp("open") / "home"))
    (home / "data.db").unlink()
    home.chmod(0o755)
    before = os.umask(0)
    try:
        command_line(home, "init", "--no-examples")
        with RunningServer(home, "--workers", "1", command=("env", *SERVE)) as server:  # with its own arguments
            client = server.create_client("shop", "predict:*")
            token = server.token(client)
            assert server.post_json("/v1/models/iris/predict", ROW, token).status == 200
            yield server
    finally:
        os.umask(before)


def modes(home: Path) -> dict[str, int]:
    found = {}
    for path in sorted(home.rglob("*")):
        with suppress(FileNotFoundError):  # a server that runs replaces its files
            found[str(path.relative_to(home))] = stat.S_IMODE(path.lstat().st_mode)
    return found


def test_whatever_the_umask_nobody_else_can_read_what_is_private(served: RunningServer) -> None:
    found = modes(served.home)
    private = {name: mode for name, mode in found.items() if not name.startswith("models") and ".pub." not in name}
    assert {"data.db", "data.db-wal", "keys", "keys/tokens.json", "keys/model-signing.pem", "run"} <= private.keys()
    # The pid file names a process that everybody can see, in a directory that nobody else may enter.
    assert [name for name, mode in private.items() if mode & 0o077 and name != "run/server.pid"] == []
    assert found["run"] == 0o700


def test_whatever_the_umask_nobody_else_can_write_anything(served: RunningServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        publish(Store(home / "models", home / "keys"))
    finally:
        os.umask(before)
    for found in (modes(served.home), modes(home)):
        assert [name for name, mode in found.items() if mode & 0o022] == []


def test_no_process_of_the_server_leaves_a_core_file(served: RunningServer) -> None:
    for pid in {served.process.pid, *served.worker_pids()}:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4] == "0"


def test_no_secret_stands_in_the_arguments_of_a_process(served: RunningServer) -> None:
    secrets = {key.read_text().splitlines()[1] for key in (served.home / "keys").glob("*.pem")}
    assert secrets
    for pid in {served.process.pid, *served.worker_pids()}:
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert "serve" in arguments
        assert not [secret for secret in secrets if secret in arguments]


PASSWORD = "hunter2-of-the-database"
URLS = {
    "SECURE_ML_API_DATABASE__URL": f"postgresql://api:{PASSWORD}@127.0.0.1:1/api",
    "SECURE_ML_API_STATE__URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
}


@pytest.mark.parametrize("variable", URLS)
def test_no_command_says_the_password_of_a_store(
    tmp_path: Path, variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(str(tmp_path / "home"), capsys, monkeypatch)
    assert console("init", "--no-examples").status == 0
    monkeypatch.setenv(variable, URLS[variable])
    for command in (
        ["doctor"],
        ["doctor", "--settings"],
        ["clients", "list"],
        ["models", "list"],
        ["init", "--no-examples"],
    ):
        ran = console(*command)
        assert ran.stdout or ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_server_without_its_database_does_not_say_the_password(tmp_path: Path) -> None:
    command_line(tmp_path / "home", "init", "--no-examples")
    serve = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(tmp_path / "home")]
    ports = ["--port", str(free_port()), "--metrics-port", str(free_port())]
    environ = {**os.environ, "SECURE_ML_API_DATABASE__URL": URLS["SECURE_ML_API_DATABASE__URL"]}
    said = subprocess.run([*serve, *ports], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1
    assert "127.0.0.1" in said.stderr
    assert PASSWORD not in said.stdout + said.stderr


def test_what_holds_a_secret_does_not_show_it_when_it_is_printed(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {}, database={"url": URLS["SECURE_ML_API_DATABASE__URL"]})
    for shown in (repr(settings), str(settings), repr(Credentials("id", PASSWORD))):
        assert PASSWORD not in shown


def test_no_two_workers_make_the_same_secret() -> None:
    """Random state that a fork copies would let one worker's caller foretell another's secret."""
    new_secret()
    new_request_id()
    made = [line for _ in range(4) for line in _made_in_a_fork()]
    assert len(made) == 4 * 4
    assert len(set(made)) == len(made)


def _made_in_a_fork() -> list[str]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            key = key_material.key_id(key_material.public_jwk(key_material.generate("EdDSA")))
            lines = [new_secret(), str(uuid.uuid4()), new_request_id(), key]
            os.write(writing, json.dumps(lines).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        lines = json.loads(answer.read())
    os.waitpid(child, 0)
    assert isinstance(lines, list)
    return lines
