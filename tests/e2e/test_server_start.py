"""The start of the server: what it refuses, with one line and exit code 1, and what it writes when it serves."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import Authority
from support.needs import free_port
from support.server import SERVE, STAND_IN, RunningServer, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, worker_class: str) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("start") / "home"
    with RunningServer(home, "--workers", "2", command=("env", *STAND_IN)) as running:  # from its first import on
        yield running


def refused(home: Path, *arguments: str, **environ: str) -> str:
    """The one line that the command says when it refuses to serve."""
    finished = subprocess.run(
        [*SERVE, "--home", str(home), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1, finished.stderr
    assert finished.stderr.count("\n") == 1
    return finished.stderr


def test_second_server_on_the_same_home_is_refused(server: RunningServer) -> None:
    ports = ["--port", str(free_port()), "--metrics-port", str(free_port())]
    assert "another server runs on this home" in refused(server.home, *ports)
    assert server.get("/version").status == 200


@pytest.mark.parametrize(("option", "setting"), [("--port", "server.port"), ("--metrics-port", "server.metrics_port")])
def test_taken_port_is_refused_by_name(tmp_path: Path, option: str, setting: str) -> None:
    ports = {"--port": free_port(), "--metrics-port": free_port()}
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports[option] = other.getsockname()[1]
        said = refused(tmp_path / "home", *(str(part) for pair in ports.items() for part in pair))
    assert setting in said
    assert str(ports[option]) in said


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    assert "must differ" in refused(tmp_path / "home", "--port", port, "--metrics-port", port)


def test_unknown_worker_class_is_refused_by_name(tmp_path: Path) -> None:
    assert "server.worker_class" in refused(tmp_path / "home", "--worker-class", "sync")


def test_certificate_that_does_not_serve_is_refused_before_anything_is_prepared(tmp_path: Path) -> None:
    signed = Authority(tmp_path / "ca").server()
    signed.key.chmod(0o644)
    said = refused(tmp_path / "home", "--certfile", str(signed.certificate), "--keyfile", str(signed.key))
    assert "server.tls_key" in said
    assert "chmod 600" in said
    assert not (tmp_path / "home" / "keys").exists()


def test_tls_is_refused_where_it_is_not_spoken(tmp_path: Path) -> None:
    signed = Authority(tmp_path / "ca").server()
    options = ("--certfile", str(signed.certificate), "--keyfile", str(signed.key), "--worker-class", "granian")
    assert "granian speaks no TLS" in refused(tmp_path / "home", *options)


def test_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nno_such_key = 1\n")
    assert "server.no_such_key" in refused(tmp_path)


def test_lock_of_a_killed_server_is_given_back(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "1", command=STAND_IN) as server:
        os.killpg(server.process.pid, 9)
        server.process.wait(10)
        with RunningServer(tmp_path / "home", "--workers", "1", command=STAND_IN) as second:
            assert second.get("/version").status == 200


def test_orphaned_workers_leave_by_themselves(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "home", "--workers", "2", command=STAND_IN) as server:
        workers = server.worker_pids()
        server.process.kill()
        server.process.wait(10)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 30, "the leave of the workers")


def test_files_of_the_run_directory_are_private(server: RunningServer) -> None:
    modes = {path.stat().st_mode & 0o077 for path in (server.home / "run").rglob("*") if path.name != "server.pid"}
    assert modes == {0}


def test_everything_written_to_stderr_is_json_even_what_python_prints_there(server: RunningServer) -> None:
    server.get("/print")
    server.get("/warn")
    messages = [(line["logger"], line["message"]) for line in server.log_lines()]
    assert ("stderr", "printed by the application") in messages
    assert any(logger == "py.warnings" and "an old way" in message for logger, message in messages)
