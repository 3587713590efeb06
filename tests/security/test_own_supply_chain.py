"""What this project itself is made of: pinned by hash, above the releases with known holes, and listed for others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]

# Older releases have known vulnerabilities that a caller, or a model file, can reach.
FLOORS = {"pyjwt": "2.15.1", "gunicorn": "27.0.1", "werkzeug": "3.1.5", "onnx": "1.21"}


def pins(lock: Path) -> dict[str, tuple[str, int]]:
    """Package → its pinned version and the number of its hashes."""
    found: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text("utf-8")):
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", block)
        assert match is not None, f"{lock.name} has a line that pins nothing: {block[:80]}"
        found[match[1].lower()] = (match[2], block.count("--hash=sha256:"))
    return found


def test_the_locks_are_those_that_make_installs_from() -> None:
    """With ``locks/install.py``, whose tests hold that nothing is taken that a lock does not hash."""
    makefile = (ROOT / "Makefile").read_text()
    assert {lock.stem for lock in LOCKS} >= {"serve", "train", "test"}
    assert "pip install" not in makefile.replace("$(PIP) install", "")
    assert "$(INSTALL) locks/$*.txt $(if $(filter test,$*),locks/torch.lock)" in makefile
    by_pip = [line for line in makefile.replace("\\\n", "").splitlines() if line.startswith("\t@$(PIP)")]
    assert len(by_pip) == 3
    assert all("--require-hashes -r locks/" in line or "--no-build-isolation --editable ." in line for line in by_pip)


def test_the_tools_that_read_the_deployment_are_installed_from_a_lock_too() -> None:
    assert "$(INSTALL) --python $(DEPLOY_TOOLS)/bin/python locks/deploy.lock" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["torch", "pip"])
def test_what_no_resolver_pins_is_pinned_by_hash_too(name: str) -> None:
    lock = (ROOT / f"locks/{name}.lock").read_text()
    assert re.search(rf"^{name}==[0-9.]+ .*\n +--hash=sha256:[0-9a-f]{{64}}$", lock, re.MULTILINE)


@pytest.mark.parametrize("lock", [*LOCKS, ROOT / "locks" / "deploy.lock"], ids=lambda lock: lock.stem)
def test_every_package_of_a_lock_is_pinned_by_hash(lock: Path) -> None:
    unhashed = [name for name, (_, hashes) in pins(lock).items() if not hashes]
    assert not unhashed
    assert len(pins(lock)) > 10


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_lock_pins_a_release_below_the_floor(lock: Path) -> None:
    pinned = pins(lock)
    if lock.stem not in ("client", "loadtest"):  # which are installed where nothing serves
        assert pinned.keys() >= FLOORS.keys() - {"onnx"}
    for name in FLOORS.keys() & pinned.keys():
        assert Version(pinned[name][0]) >= Version(FLOORS[name]), name


def test_the_package_asks_for_the_floors_itself() -> None:
    """Whoever installs without a lock gets no older release either."""
    declared = EXTRAS["serve"] + EXTRAS["train"]
    asked = {requirement.name: requirement.specifier for requirement in map(Requirement, declared)}
    for name, floor in FLOORS.items():
        older = f"{floor.rpartition('.')[0]}.{int(floor.rpartition('.')[2]) - 1}"
        assert floor in asked[name], name
        assert older not in asked[name], name


@pytest.mark.parametrize("extra", ["serve", "client", "loadtest"])
def test_every_declared_dependency_is_in_the_lock(extra: str) -> None:
    declared = {Requirement(text).name for text in PROJECT["project"]["dependencies"] + EXTRAS[extra]}
    assert declared <= pins(ROOT / "locks" / f"{extra}.txt").keys()


def test_what_builds_the_package_is_pinned_in_every_lock() -> None:
    tools = {Requirement(text).name for text in PROJECT["build-system"]["requires"]}
    assert [lock.stem for lock in LOCKS if not tools <= pins(lock).keys()] == []


@pytest.mark.parametrize("lock", ["client", "loadtest"])
def test_who_only_asks_installs_nothing_of_the_server(lock: str) -> None:
    server = {"alembic", "cryptography", "gunicorn", "lmdb", "onnxruntime", "pydantic", "pyjwt", "sqlalchemy"}
    assert not server & pins(ROOT / "locks" / f"{lock}.txt").keys()


def test_every_extra_of_the_server_brings_the_server() -> None:
    alone = {extra for extra, declared in EXTRAS.items() if not any("secure-ml-api[" in text for text in declared)}
    assert alone == {"serve", "client", "loadtest"}


def test_the_bill_of_materials_is_valid_and_lists_the_whole_lock_with_its_hashes(tmp_path: Path) -> None:
    variables = {"BIN": str(Path(sys.executable).parent), "SBOM_LOCKS": "serve", "SBOM_DIR": str(tmp_path)}
    subprocess.run(
        # This interpreter has the tool already: -o keeps make from setting up another environment.
        ["make", "sbom", "-o", ".venv/.ready-test", *(f"{name}={value}" for name, value in variables.items())],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    made = tmp_path / "secure-ml-api-serve.cdx.json"
    text = made.read_text("utf-8")
    schema_version = import_module("cyclonedx.schema").SchemaVersion.V1_6
    assert import_module("cyclonedx.validation.json").JsonStrictValidator(schema_version).validate_str(text) is None
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "secure-ml-api"
    assert Version(document["metadata"]["component"]["version"]) > Version("0.0")
    listed = {component["name"]: component for component in document["components"]}
    for name, (version, hashes) in pins(ROOT / "locks" / "serve.txt").items():
        component = listed[name]
        assert component["purl"] == f"pkg:pypi/{name}@{version}"
        known = [each for reference in component["externalReferences"] for each in reference["hashes"]]
        assert len(known) == hashes, name
    assert listed["flask"]["licenses"] == [{"expression": "BSD-3-Clause", "acknowledgement": "declared"}]
    without = {name for name, component in listed.items() if not component.get("licenses")}
    assert len(without) <= 0.1 * len(listed), without  # of what is pinned for other Pythons nothing is installed


def test_the_security_rules_of_the_linter_are_on_and_every_exception_says_why() -> None:
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert "S" not in lint["ignore"]
    assert all("S" not in rules for rules in lint["per-file-ignores"].values())
    reasoned = unreasoned = 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        lines = path.read_text("utf-8").splitlines()
        for above, line in pairwise(["", *lines]):
            pardon = re.search(r"noqa: [\w, ]*\bS\d{3}\b[\w, ]*(.*)", line)
            if pardon is not None:
                has_reason = len(pardon[1].strip(" #—-")) > 5 or above.strip().startswith("# ")
                reasoned, unreasoned = reasoned + has_reason, unreasoned + (not has_reason)
    assert reasoned, "the pattern finds nothing"
    assert unreasoned == 0
