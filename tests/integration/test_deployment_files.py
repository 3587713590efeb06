"""The files under deploy/: what can be said of them without a cluster or an engine for containers."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from secure_ml_api.server.config import LAST_WORDS_SECONDS
from secure_ml_api.setting_sections import ServerSettings
from support.kubernetes import VERSIONS, validate
from support.needs import program

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
BASE = DEPLOY / "kubernetes" / "base"
PRODUCTION = DEPLOY / "kubernetes" / "overlays" / "production"
LOADTEST = DEPLOY / "kubernetes" / "overlays" / "loadtest"
DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text()
LOADTEST_DOCKERFILE = (DEPLOY / "docker" / "loadtest.Dockerfile").read_text()
UNIT = DEPLOY / "systemd" / "secure-ml-api.service"


def objects() -> Iterator[dict[str, Any]]:
    for folder in (BASE, LOADTEST):
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
            yield from yaml.safe_load_all((folder / name).read_text())


OBJECTS = {f"{each['kind']} {each['metadata']['name']}": each for each in objects()}
PODS = {name: each["spec"]["template"]["spec"] for name, each in OBJECTS.items() if "template" in each.get("spec", {})}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(name: str, version: str) -> None:
    validate(OBJECTS[name], version)


def test_every_file_of_kubernetes_belongs_to_a_kustomization() -> None:
    for kustomization in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
        named = set(yaml.safe_load(kustomization.read_text())["resources"])
        there = {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert {name for name in named if name.endswith(".yaml")} == there
        assert all((kustomization.parent / name).exists() for name in named)


@pytest.mark.parametrize("name", PODS)
def test_pods_may_do_nothing_but_serve(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}


def test_pods_that_are_replaced_or_moved_never_leave_callers_without_one() -> None:
    deployment, budget = (
        OBJECTS["Deployment secure-ml-api"]["spec"],
        OBJECTS["PodDisruptionBudget secure-ml-api"]["spec"],
    )
    assert deployment["replicas"] >= 2
    assert deployment["strategy"] == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert budget["minAvailable"] >= 1
    labels = deployment["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    pod = PODS["Deployment secure-ml-api"]
    waits, seconds = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (waits, int(seconds) >= 5) == ("sleep", True)
    last = int(seconds) + ServerSettings().graceful_timeout_seconds + LAST_WORDS_SECONDS
    assert pod["terminationGracePeriodSeconds"] > last


def test_every_name_that_an_object_refers_to_is_there_or_a_secret_that_is_explained() -> None:
    explained = (BASE / "kustomization.yaml").read_text()
    pod = PODS["Deployment secure-ml-api"]
    assert "PersistentVolumeClaim secure-ml-api-models" in OBJECTS
    assert "ConfigMap secure-ml-api-settings" in OBJECTS
    assert "ServiceAccount secure-ml-api" in OBJECTS
    secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    told = [entry["valueFrom"] for entry in pod["containers"][0]["env"] if "valueFrom" in entry]
    secrets |= {entry["secretKeyRef"]["name"] for entry in told}
    assert secrets == {"secure-ml-api-keys", "secure-ml-api-stores"}
    assert all(f"create secret generic {secret} " in explained for secret in secrets)
    ports = {port["name"] for port in pod["containers"][0]["ports"]}
    assert {port["targetPort"] for port in OBJECTS["Service secure-ml-api"]["spec"]["ports"]} == ports


def test_the_load_test_finds_its_conductor_its_server_and_its_secret() -> None:
    conductor, workers = PODS["Job secure-ml-api-loadtest"], PODS["Job secure-ml-api-loadtest-workers"]
    (sends,), (conducts,) = workers["containers"], conductor["containers"]
    service = OBJECTS["Service secure-ml-api-loadtest"]
    (port,) = service["spec"]["ports"]
    assert sends["args"] == ["--join", f"{service['metadata']['name']}:{port['port']}"]
    assert conducts["ports"] == [{"name": port["targetPort"], "containerPort": 5557}]
    labels = OBJECTS["Job secure-ml-api-loadtest"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    secrets = {entry["valueFrom"]["secretKeyRef"]["name"] for entry in sends["env"]}
    assert secrets == {"secure-ml-api-loadtest"}
    assert "create secret generic secure-ml-api-loadtest " in (LOADTEST / "kustomization.yaml").read_text()
    assert "env" not in conducts, "who only conducts needs no secret"
    assert {conductor["serviceAccountName"], workers["serviceAccountName"]} == {"secure-ml-api-loadtest"}
    assert "ServiceAccount secure-ml-api-loadtest" in OBJECTS
    assert "PersistentVolumeClaim secure-ml-api-loadtest" in OBJECTS


def test_the_load_test_is_started_as_its_command_line_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    from loadtests.command_line import read_options

    monkeypatch.delenv("LOADTEST_CLIENT_ID", raising=False)
    conducts = read_options(PODS["Job secure-ml-api-loadtest"]["containers"][0]["args"], "")
    assert conducts.host == f"http://{OBJECTS['Service secure-ml-api']['metadata']['name']}"
    assert conducts.expect_workers == OBJECTS["Job secure-ml-api-loadtest-workers"]["spec"]["completions"]
    assert conducts.expect_workers == OBJECTS["Job secure-ml-api-loadtest-workers"]["spec"]["parallelism"]
    sends = PODS["Job secure-ml-api-loadtest-workers"]["containers"][0]
    for entry in sends["env"]:
        monkeypatch.setenv(entry["name"], "handed over")
    assert read_options(sends["args"], "").join


def test_the_operator_gets_the_rules_that_prometheus_gets() -> None:
    rule = yaml.safe_load((PRODUCTION / "prometheusrule.yaml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    files = [DEPLOY / "prometheus" / "rules" / name for name in ("recording.yml", "alerts.yml")]
    assert set(files) == set((DEPLOY / "prometheus" / "rules").iterdir())
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    assert rule["spec"]["groups"] == groups, "run: python deploy/kubernetes/build.py"


def test_the_rules_for_the_operator_are_those_that_are_built() -> None:
    built = runpy.run_path(str(DEPLOY / "kubernetes" / "build.py"))
    assert (PRODUCTION / "prometheusrule.yaml").read_text() == built["prometheus_rule"]()


def test_settings_of_the_config_map_are_settings_of_the_server() -> None:
    from secure_ml_api.settings import read_settings

    assert not read_settings(Path("/nowhere"), OBJECTS["ConfigMap secure-ml-api-settings"]["data"]).telemetry.tracing


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, LOADTEST_DOCKERFILE], ids=["server", "loadtest"])
def test_image_is_built_from_pinned_hashes_and_runs_as_nobody(dockerfile: str) -> None:
    build, final = dockerfile.split("\nFROM ${BASE}\n")
    assert re.search(r"^ARG BASE=\S+:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}$", build, re.MULTILINE)
    installed = [line for line in build.splitlines() if "pip install" in line]
    assert all("--require-hashes -r locks/" in line or "--no-deps --no-build-isolation ." in line for line in installed)
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert not re.search(r"apt-get|pip install|ADD |curl", final)


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, LOADTEST_DOCKERFILE], ids=["server", "loadtest"])
def test_image_leaves_the_build_tools_behind(dockerfile: str) -> None:
    (removed,) = re.findall(r"pip uninstall --yes (.+)$", dockerfile, re.MULTILINE)
    tools = {line for line in (ROOT / "locks/build.in").read_text().splitlines() if not line.startswith("#")}
    assert tools <= set(removed.split())


def test_the_image_of_the_server_says_whether_it_is_well() -> None:
    assert re.search(r"^HEALTHCHECK ", DOCKERFILE, re.MULTILINE)


def test_images_hold_only_what_they_copy() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        part
        for dockerfile in (DOCKERFILE, LOADTEST_DOCKERFILE)
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for part in line.split()
    }
    assert {Path(part).parts[0] for part in copied} == allowed
    assert all((ROOT / part).exists() for part in copied)
    assert "*" in ignored


def test_systemd_takes_the_unit_and_finds_it_hardly_exposed(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    unit = Path(shutil.copy(UNIT, tmp_path / UNIT.name))
    unit.write_text(unit.read_text().replace("/opt/secure-ml-api/bin/secure-ml-api", "/bin/true"))
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert UNIT.name not in verified.stderr, verified.stderr
    command = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    looked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert looked.returncode == 0, looked.stdout[-2000:] + looked.stderr
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", looked.stdout)
    assert float(exposure) <= 2.0
