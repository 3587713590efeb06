"""A pod of deploy/kubernetes, as near as an engine for containers comes to one: its volumes, its commands, its user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.containers import CONFINED, SERVER, Container, Engine

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"
POD: dict[str, Any] = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]
(MIGRATE,) = yaml.safe_load((BASE / "migrate.yaml").read_text())["spec"]["template"]["spec"]["containers"]
# As the kubelet makes them: of root, and of the pod's group. What is made of a Secret is read-only, links and all.
EMPTY_DIR = "chown 0:10001 /volume && chmod 2777 /volume"
SECRET = """
mkdir /volume/..data && cp /home/keys/* /volume/..data && cd /volume && ln -s ..data/* . &&
chown -R 0:10001 /volume && chmod 0440 ..data/*
"""
SHARED_MODELS = "cp -r /home/models/. /volume && chown -R 0:10001 /volume && chmod -R u=rwX,g=rX,o= /volume"
MADE = {"home": EMPTY_DIR, "temporary": EMPTY_DIR, "keys": SECRET, "models": SHARED_MODELS}


@pytest.fixture(scope="module")
def volumes(engine: Engine, server_image: object, home_of_module: Path) -> Iterator[dict[str, str]]:
    """The name of the engine's volume for each of the pod's."""
    assert {volume["name"] for volume in POD["volumes"]} == set(MADE)
    with engine.volume() as home, engine.volume() as temporary, engine.volume() as keys, engine.volume() as models:
        made = {"home": home, "temporary": temporary, "keys": keys, "models": models}
        for name, volume in made.items():
            mounts = (f"--volume={home_of_module}:/home:ro", f"--volume={volume}:/volume")
            options = ("--network=none", "--user=0", "--entrypoint=sh", *mounts)
            engine.output(SERVER, "-ec", MADE[name], options=options)
        yield made


@pytest.fixture(scope="module")
def pod(engine: Engine, volumes: dict[str, str]) -> Iterator[Container]:
    """With a database and counters of its own, as there are neither PostgreSQL nor Redis here."""
    (first,), (server,) = POD["initContainers"], POD["containers"]
    program, *arguments = first["command"]
    engine.output(SERVER, *arguments, options=(*options_of(first, volumes), f"--entrypoint={program}"))
    # In a cluster a job prepares PostgreSQL; the pod's own file is prepared likewise.
    told = [f"--env={known['name']}={known['value']}" for known in server["env"] if "value" in known]
    options = (*options_of(server, volumes), *told)
    engine.output(SERVER, *MIGRATE["args"], options=options)
    with engine.container(SERVER, *server["args"], options=options) as container:
        container.wait_until_ready()
        yield container


def options_of(described: dict[str, Any], volumes: dict[str, str]) -> tuple[str, ...]:
    confined = tuple(option for option in CONFINED if option != "--tmpfs=/tmp")
    mounts = [
        f"--volume={volumes[mount['name']]}:{mount['mountPath']}" + (":ro" if mount.get("readOnly") else "")
        for mount in described["volumeMounts"]
    ]
    user = "--user={runAsUser}:{runAsGroup}".format(**POD["securityContext"])
    memory = "--memory=" + described["resources"]["limits"]["memory"].removesuffix("i").lower()
    return (*confined, *mounts, user, memory)


def test_the_doctor_finds_nothing_wrong_in_a_pod(pod: Container) -> None:
    checks = json.loads(pod.run("secure-ml-api", "doctor", "--json").out)["checks"]
    assert len(checks) > 10
    assert [check for check in checks if not check["ok"]] == []


def test_a_pod_serves_the_models_of_the_volume(pod: Container) -> None:
    assert pod.prediction("iris", [5.1, 3.5, 1.4, 0.2]) == 0


def test_a_decision_about_a_model_is_refused_where_the_volume_is_read_only(pod: Container) -> None:
    answer = pod.run("secure-ml-api", "models", "unload", "iris")
    assert answer.code != 0
    assert "Traceback" not in answer.err
    assert "can be written" in answer.err


def test_a_pod_that_is_told_to_go_is_gone_before_it_is_killed(pod: Container) -> None:
    assert pod.stop(POD["terminationGracePeriodSeconds"]) == 0
