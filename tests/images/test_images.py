"""The images of deploy/docker, built and run as docs/deployment.md has it: ``make images``, where an engine is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.containers import CONFINED, LOADTEST, SERVER, VERSION, Container, Engine

REPORTS = ("--reports", "/tmp/reports")  # noqa: S108 - in the container, where nobody else is


@pytest.fixture(scope="module")
def home_volume(engine: Engine, server_image: object, home_of_module: Path) -> Iterator[str]:
    """A volume with a home that was prepared outside, given to the user of the image."""
    with engine.volume() as name:
        mounts = (f"--volume={home_of_module}:/packed:ro", f"--volume={name}:/srv/models")
        take = "cp -r /packed/. /srv/models/ && chown -R 10001:10001 /srv/models && chmod 0700 /srv/models"
        engine.output(SERVER, "-c", take, options=("--network=none", "--user=0", "--entrypoint=sh", *mounts))
        yield name


@pytest.fixture(scope="module")
def running(engine: Engine, home_volume: str) -> Iterator[Container]:
    options = (*CONFINED, f"--volume={home_volume}:/srv/models")
    with engine.container(SERVER, options=options) as container:
        container.wait_until_ready()
        yield container


def test_the_server_says_the_version_that_its_image_was_built_with(
    engine: Engine, server_image: dict[str, Any]
) -> None:
    assert engine.output(SERVER, "--version").split()[-1] == VERSION
    assert server_image["Config"]["Labels"]["org.opencontainers.image.version"] == VERSION


def test_neither_image_runs_as_root(server_image: dict[str, Any], loadtest_image: dict[str, Any]) -> None:
    assert {image["Config"]["User"] for image in (server_image, loadtest_image)} == {"10001:10001"}


@pytest.mark.parametrize("tool", ["setuptools", "hatchling", "_pytest", "sklearn"])
def test_what_builds_tests_or_trains_is_not_in_the_image(engine: Engine, server_image: object, tool: str) -> None:
    found = f"import importlib.util as u; print(u.find_spec({tool!r}) is not None)"
    assert engine.output(SERVER, "-c", found, options=(*CONFINED, "--entrypoint=python")) == "False\n"


def test_a_new_volume_becomes_a_home_that_serves_until_the_container_is_stopped(
    engine: Engine, server_image: object
) -> None:
    with (
        engine.volume() as volume,
        engine.container(SERVER, options=(*CONFINED, f"--volume={volume}:/srv/models")) as container,
    ):
        container.wait_until_ready()
        assert json.loads(container.output("secure-ml-api", "models", "list", "--json")) == []
        assert container.stop(40) == 0
        assert "Shutting down: Master" in container.logs()


def test_a_client_is_registered_in_the_container_and_gets_a_prediction(running: Container) -> None:
    assert running.prediction("iris", [5.1, 3.5, 1.4, 0.2]) == 0


def test_the_health_check_of_the_image_finds_the_server_well(server_image: dict[str, Any], running: Container) -> None:
    kind, *command = (server_image["Config"].get("Healthcheck") or server_image["Healthcheck"])["Test"]
    assert kind == "CMD"
    running.output(*command)


def test_the_doctor_finds_nothing_wrong_in_the_container(running: Container) -> None:
    checks = json.loads(running.run("secure-ml-api", "doctor", "--json").out)["checks"]
    assert len(checks) > 10
    assert [check for check in checks if not check["ok"]] == []


@pytest.mark.parametrize("place", ["/", "/opt/secure-ml-api", "/etc", "/usr/lib"])
def test_the_server_can_write_nowhere_but_at_home(running: Container, place: str) -> None:
    answer = running.run("touch", f"{place}/written")
    assert answer.code != 0
    assert "Read-only file system" in answer.err


def test_the_load_test_of_the_other_image_loads_the_server(
    engine: Engine, running: Container, home_volume: str, loadtest_image: object
) -> None:
    client = json.loads(running.output("secure-ml-api", "clients", "create", "load", "--scope", "predict:*", "--json"))
    options = (
        f"--network=container:{running.name}",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--env=LOADTEST_CLIENT_ID={client['client_id']}",
        f"--env=LOADTEST_CLIENT_SECRET={client['client_secret']}",
    )
    # How fast it is on this machine is not the question.
    command = (
        "--host",
        "http://127.0.0.1:8000",
        "--users",
        "4",
        "--seconds",
        "3",
        "--thresholds",
        "/dev/null",
        *REPORTS,
    )
    assert "requests  count" in engine.output(LOADTEST, *command, options=options)
