"""What is published: its version is the tag's, and a wheel has all that it takes, installed where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from threading import Thread

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from werkzeug.serving import make_server

from secure_ml_api.__main__ import SERVE
from support.application import Application
from support.needs import program

ROOT = Path(__file__).parents[2]
VERSION = "3.1.4"
PRETENDED = "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SECURE_ML_API"
SERVER = {"alembic", "click", "cryptography", "flask", "gunicorn", "onnxruntime", "pydantic", "sqlalchemy", "werkzeug"}
_PREDICT = """
import sys
from secure_ml_api.client import Client
with Client(*sys.argv[1:]) as client:
    print(client.predict("iris", [[5.1, 3.5, 1.4, 0.2]])["label"].tolist())
print(sorted({"flask", "pydantic", "click"} & set(sys.modules)))
"""


def hatchling(directory: Path, *arguments: str, **environ: str) -> str:
    """What the build tool prints in ``directory``."""
    ours = {name: value for name, value in os.environ.items() if "_SCM_" not in name}
    command = [sys.executable, "-m", "hatchling", *arguments]
    done = subprocess.run(
        command, cwd=directory, env={**ours, **environ}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def git(directory: Path, *arguments: str) -> str:
    command = [program("git", "git"), "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments]
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def copy_of_the_project(directory: Path) -> Path:
    """What the package is built from, without git."""
    shutil.copytree(ROOT / "src", directory / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, directory)
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source distribution of a tag, by the end of their names."""
    project = copy_of_the_project(tmp_path_factory.mktemp("tagged"))
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "a release")
    git(project, "tag", f"v{VERSION}")
    directory = tmp_path_factory.mktemp("dist")
    hatchling(project, "build", "-d", str(directory))
    return {".whl" if path.suffix == ".whl" else ".tar.gz": path for path in directory.iterdir()}


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with what ``pip install WHEEL[client]`` would install of what is here."""
    directory = tmp_path_factory.mktemp("client")
    venv.create(directory, symlinks=True, with_pip=False)
    site = next(directory.glob("lib/python*/site-packages"))
    shutil.unpack_archive(built[".whl"], site, "zip")
    (wheel,) = site.glob("*.dist-info")
    for needed in what_it_takes(Distribution.at(wheel), "client").values():
        for name in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(needed.locate_file(name))))
    return directory / "bin" / "python"


def what_it_takes(package: Distribution, extra: str) -> dict[str, Distribution]:
    """Name → distribution of all that an installer adds for ``package[extra]``."""
    found: dict[str, Distribution] = {}
    waiting = [(package, frozenset({extra}))]
    while waiting:
        one, extras = waiting.pop()
        for requirement in map(Requirement, one.requires or ()):
            if requirement.marker and not any(requirement.marker.evaluate({"extra": each}) for each in extras | {""}):
                continue
            name = canonicalize_name(requirement.name)
            if name == "secure-ml-api":
                waiting.append((package, frozenset(requirement.extras)))
            elif name not in found:
                found[name] = distribution(name)
                waiting.append((found[name], frozenset(requirement.extras)))
    return found


@pytest.fixture(scope="module")
def address(application: Application) -> Iterator[str]:
    """Where the application listens."""
    server = make_server("127.0.0.1", 0, application.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_wheel_of_a_tag_has_its_version_and_holds_the_package_with_its_data_and_nothing_else(
    built: dict[str, Path],
) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = set(wheel.namelist())
    package = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    wanted = {name for name in package if "__pycache__" not in name}
    assert {name for name in names if name.startswith("secure_ml_api/")} == wanted
    assert {"secure_ml_api/py.typed", "secure_ml_api/examples/data/boston_housing.csv"} <= names
    assert all(name.startswith(("secure_ml_api/", f"secure_ml_api-{VERSION}.dist-info/")) for name in names)
    assert f"secure_ml_api-{VERSION}.dist-info/licenses/LICENSE" in names


def test_source_distribution_is_whole_enough_to_be_built_from_and_knows_its_version(
    built: dict[str, Path], tmp_path: Path
) -> None:
    with tarfile.open(built[".tar.gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path, filter="data")
    assert {"pyproject.toml", "README.md", "LICENSE", "src/secure_ml_api/__init__.py", "PKG-INFO"} <= names
    assert hatchling(tmp_path / f"secure_ml_api-{VERSION}", "version") == VERSION


def test_without_a_tag_the_version_is_one_of_development_or_what_the_builder_says(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path)
    assert hatchling(project, "version") == "0.0+unknown"
    assert hatchling(project, "version", **{PRETENDED: "2.7.1"}) == "2.7.1"
    assert f"{PRETENDED}=" in (ROOT / "deploy/docker/Dockerfile").read_text()
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "no release")
    commit = git(project, "rev-parse", "--short", "HEAD")
    assert hatchling(project, "version").startswith(f"0.1.dev1+unknown.g{commit}")


def test_wheel_works_where_only_its_dependencies_are(built: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(built[".whl"], tmp_path / "site", "zip")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    printed = []
    for arguments in (["--version"], ["--help"], ["openapi", "--home", str(tmp_path / "home")]):
        command = [sys.executable, "-P", "-m", "secure_ml_api", *arguments]
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    where = "import secure_ml_api; print(secure_ml_api.__file__, secure_ml_api.__version__)"
    found = subprocess.run([sys.executable, "-P", "-c", where], env=environ, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path / "site"))
    assert found.stdout.split()[-1] == VERSION
    assert printed[0].split()[-1] == VERSION
    assert f'"version": "{VERSION}"' in printed[2]


def test_client_is_installed_without_the_server_and_predicts(
    installed: Path, address: str, application: Application, built: dict[str, Path]
) -> None:
    site = next(installed.parents[1].glob("lib/python*/site-packages"))
    names = {canonicalize_name(path.name.partition("-")[0]) for path in site.glob("*.dist-info")}
    assert {"secure-ml-api", "httpx", "numpy"} <= names
    assert not names & SERVER
    record, secret = application.register("predict:iris")
    command = [str(installed), "-P", "-c", _PREDICT, address, record.client_id, secret]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["[0]", "[]"], "")


def test_command_without_the_server_says_in_one_line_how_to_get_it(installed: Path) -> None:
    script = (
        "from importlib.metadata import entry_points; "
        "(command,) = entry_points(group='console_scripts', name='secure-ml-api'); command.load()()"
    )
    for arguments in (["-c", script, "serve"], ["-m", "secure_ml_api", "--version"]):
        done = subprocess.run(
            [str(installed), "-P", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "secure-ml-api: click is not installed, which the server needs; run `pip install 'secure-ml-api[serve]'`\n"
        )
    code = "from secure_ml_api.wsgi import make_app"
    done = subprocess.run([str(installed), "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'flask'"


def test_every_module_of_the_extra_serve_is_known_to_be_the_servers(built: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(built[".whl"], tmp_path, "zip")
    (wheel,) = tmp_path.glob("*.dist-info")
    modules: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules.setdefault(canonicalize_name(package), set()).add(module)
    requirements = [Requirement(text) for text in Distribution.at(wheel).requires or ()]
    serve = {canonicalize_name(each.name) for each in requirements if "'serve'" in str(each.marker).replace('"', "'")}
    assert len(serve) > 10
    assert [name for name in serve & modules.keys() if not modules[name] & SERVE] == []


def test_what_comes_next_has_its_place_in_the_changelog() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("typed", "completed"), [(["mod"], "models"), (["models", "ca"], "canary"), (["ser"], "serve")]
)
def test_bash_completes_commands(typed: list[str], completed: str) -> None:
    words = " ".join(["secure-ml-api", *typed])
    environ = {
        **os.environ,
        "_SECURE_ML_API_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed)),
    }
    command = [sys.executable, "-m", "secure_ml_api"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"plain,{completed}" in done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    command = [sys.executable, "-m", "secure_ml_api", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "_SECURE_ML_API_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, timeout=10, check=True)
