"""checkov and hadolint find nothing in deploy/, plain or as kustomize renders it, that is not explained in place."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.kustomize import rendered
from support.needs import deploy_tool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(path.name for path in (DEPLOY / "docker").iterdir())
KUBERNETES = DEPLOY / "kubernetes"
KUSTOMIZATIONS = {path.parent.name: path.parent for path in KUBERNETES.rglob("kustomization.yaml")}
_SERVER = {"Deployment.models.secure-ml-api", "Job.models.secure-ml-api-migrate"}
PODS = {
    "base": _SERVER,
    "production": _SERVER,
    "loadtest": {"Job.models.secure-ml-api-loadtest", "Job.models.secure-ml-api-loadtest-workers"},
}
OBJECTS = {"base/deployment", "base/migrate", "overlays/loadtest/conductor", "overlays/loadtest/workers"}


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """What checkov found, by what it is about: ``kubernetes``, ``dockerfile``, and ``secrets`` if there are any."""
    return checkov(DEPLOY, "kubernetes", "dockerfile", "secrets")


@pytest.fixture(scope="module")
def reports_of_rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The same of ``base.yaml``, ``loadtest.yaml`` and ``production.yaml``, each all that is sent to a cluster."""
    folder = tmp_path_factory.mktemp("rendered")
    for name, kustomization in KUSTOMIZATIONS.items():
        (folder / f"{name}.yaml").write_text(rendered(kustomization))
    return checkov(folder, "kubernetes", "secrets")


def checkov(folder: Path, *frameworks: str) -> dict[str, dict[str, Any]]:
    command = [str(deploy_tool("bin/checkov")), "--directory", str(folder), "--framework", *frameworks]
    command += ["--output", "json", "--compact", "--skip-download", "--soft-fail"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # a list, or the one report there is
    return {report["check_type"]: report["results"] for report in (said if isinstance(said, list) else [said])}


def assert_all_is_explained(reports: dict[str, dict[str, Any]]) -> None:
    failed = [
        f"{check['check_id']} {check['check_name']}: {check['file_path']} {check['resource']}"
        for results in reports.values()
        for check in results["failed_checks"]
    ]
    assert not failed
    skipped = [check for results in reports.values() for check in results["skipped_checks"]]
    assert skipped
    unexplained = [check for check in skipped if len(check["check_result"]["suppress_comment"].split()) < 6]
    assert not unexplained


def test_checkov_reads_every_dockerfile_and_every_object_that_has_pods(reports: dict[str, dict[str, Any]]) -> None:
    read = {check["file_path"] for results in reports.values() for check in results["passed_checks"]}
    assert {f"/docker/{name}" for name in DOCKERFILES} <= {path.removeprefix("/deploy") for path in read}
    assert all(any(path.endswith(f"/kubernetes/{name}.yaml") for path in read) for name in OBJECTS)
    assert not any(results["parsing_errors"] for results in reports.values())


def test_checkov_finds_nothing_that_is_not_explained_in_place(reports: dict[str, dict[str, Any]]) -> None:
    assert set(reports) == {"kubernetes", "dockerfile"}, "a secret, perhaps"
    assert_all_is_explained(reports)


def test_checkov_reads_every_rendered_object_that_has_pods(reports_of_rendered: dict[str, dict[str, Any]]) -> None:
    results = reports_of_rendered["kubernetes"]
    assert not results["parsing_errors"]
    read = {(check["file_path"], check["resource"]) for check in results["passed_checks"]}
    with_pods = {(f"/{name}.yaml", resource) for name in KUSTOMIZATIONS for resource in PODS[name]}
    assert with_pods <= read


def test_checkov_finds_nothing_in_rendered_objects_that_is_not_explained(
    reports_of_rendered: dict[str, dict[str, Any]],
) -> None:
    assert set(reports_of_rendered) == {"kubernetes"}, "a secret, perhaps"
    assert_all_is_explained(reports_of_rendered)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    command = [str(deploy_tool("bin/hadolint")), "--failure-threshold", "style", str(DEPLOY / "docker" / name)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert "hadolint ignore" not in (DEPLOY / "docker" / name).read_text(), "explain it, and then this test"
