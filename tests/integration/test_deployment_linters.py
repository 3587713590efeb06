"""What checkov and hadolint say of the files under deploy/: nothing that is not explained where it is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(path.name for path in (DEPLOY / "docker").iterdir())
OBJECTS = {"base/deployment", "base/migrate", "overlays/loadtest/conductor", "overlays/loadtest/workers"}


def tool(name: str) -> str:
    """A program of ``make deploy-tools``; without it the test is skipped, or fails where CI=true."""
    found = ROOT / ".deploy-tools" / "bin" / name
    if not found.exists():
        remedy = f"{name} is missing: make deploy-tools"
        pytest.fail(remedy) if os.environ.get("CI") == "true" else pytest.skip(remedy)
    return str(found)


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """What checkov found, by what it is about: ``kubernetes``, ``dockerfile``, and ``secrets`` if there are any."""
    command = [tool("checkov"), "--directory", str(DEPLOY), "--framework", "kubernetes", "dockerfile", "secrets"]
    command += ["--output", "json", "--compact", "--skip-download", "--soft-fail"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {report["check_type"]: report["results"] for report in json.loads(done.stdout)}


def test_checkov_reads_every_dockerfile_and_every_object_that_has_pods(reports: dict[str, dict[str, Any]]) -> None:
    read = {check["file_path"] for results in reports.values() for check in results["passed_checks"]}
    assert {f"/docker/{name}" for name in DOCKERFILES} <= {path.removeprefix("/deploy") for path in read}
    assert all(any(path.endswith(f"/kubernetes/{name}.yaml") for path in read) for name in OBJECTS)
    assert not any(results["parsing_errors"] for results in reports.values())


def test_checkov_finds_nothing_that_is_not_explained_in_place(reports: dict[str, dict[str, Any]]) -> None:
    assert set(reports) == {"kubernetes", "dockerfile"}, "a secret, perhaps"
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


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    command = [tool("hadolint"), "--failure-threshold", "style", str(DEPLOY / "docker" / name)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert "hadolint ignore" not in (DEPLOY / "docker" / name).read_text(), "explain it, and then this test"
