"""The page on runtimes, done as it says: a distribution with an entry point, its test, its package, its server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.settings import read_settings
from support.server import RunningServer

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "runtimes.md"
ALLOWED = "SECURE_ML_API_INFERENCE__RUNTIMES"


@dataclass(frozen=True)
class Follower:
    """Someone who did what the page says, as far as the package."""

    directory: Path
    home: Path
    environ: Mapping[str, str]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        given = {**os.environ, **self.environ, **environ}
        return subprocess.run(
            command, check=False, env=given, cwd=self.directory, capture_output=True, text=True, timeout=100
        )


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Follower:
    directory = tmp_path_factory.mktemp("follower")
    toml, runtime, test, packing, config = re.findall(
        r"```(?:toml|python)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    (directory / "linear_json.py").write_text(runtime, "utf-8")
    (directory / "test_linear_json.py").write_text(test, "utf-8")
    (directory / "pack_it.py").write_text(packing, "utf-8")
    install(directory, toml)
    home = directory / "home"
    prepare(read_settings(home, {}), examples=False)
    (home / "config.toml").write_text(config, "utf-8")
    follower = Follower(directory, home, {"PYTHONPATH": f"{directory}{os.pathsep}{TESTS}"})
    packed = follower.run("pack_it.py", str(home))
    assert packed.returncode == 0, packed.stderr
    return follower


def install(directory: Path, pyproject: str) -> None:
    """What an installer leaves of ``pyproject``: metadata and entry points beside the module."""
    import tomllib

    project = tomllib.loads(pyproject)["project"]
    metadata = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    said = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(said, "utf-8")
    ((group, points),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")


def test_the_runtime_of_the_page_passes_the_suite(follower: Follower) -> None:
    done = follower.run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_linear_json.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_a_server_that_names_the_runtime_serves_its_package(follower: Follower) -> None:
    with RunningServer(follower.home, "--workers", "2", environ=dict(follower.environ)) as server:
        token = server.token(server.create_client("one", "predict:weighed"))
        reply = server.post_json("/v1/models/weighed/predict", {"instances": [[1, 2], [10, 20]]}, token)
        assert reply.status == 200, reply.body
        assert reply.json()["predictions"] == [5.0, 50.0]
        assert server.metric("secure_ml_api_model_info", model="weighed", runtime="linear-json") > 0
        assert server.stop() == 0


def test_verify_and_doctor_go_by_the_same_list(follower: Follower) -> None:
    command = ("-m", "secure_ml_api")
    verified = follower.run(*command, "models", "verify", "--home", str(follower.home))
    assert verified.returncode == 0, verified.stderr
    looked_at = follower.run(*command, "doctor", "--home", str(follower.home))
    assert "verified, linear-json, answers on its sample" in looked_at.stdout
    refused = follower.run(*command, "models", "verify", "--home", str(follower.home), **{ALLOWED: ""})
    assert refused.returncode == 1
    assert "this installation has no runtime 'linear-json'" in refused.stderr
    looked_at = follower.run(*command, "doctor", "--home", str(follower.home), **{ALLOWED: "linear-xml"})
    assert re.search(r"✗ wrong +models +inference.runtimes: 'linear-xml' is not installed", looked_at.stdout)


def test_a_server_that_names_a_runtime_that_is_not_there_says_so_in_one_line(follower: Follower) -> None:
    serve = ("-m", "secure_ml_api", "serve", "--home", str(follower.home), "--port", "1", "--metrics-port", "2")
    done = follower.run(*serve, **{ALLOWED: "linear-xml"})
    assert done.returncode == 1
    assert "inference.runtimes: 'linear-xml' is not installed" in done.stderr
    assert "Traceback" not in done.stderr
