"""What tests of many rooms share: a home with the example models, and databases of each kind."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from secure_ml_api.cli.init import prepare
from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import migrate
from secure_ml_api.examples.catalogue import EXAMPLES
from secure_ml_api.settings import read_settings
from support.application import Application
from support.postgres_server import PostgresServer
from support.workers import one_at_a_time, scheduler, shared_directory, slow_folders_first

_LONGEST_ID = 100

# What is imported for the tests stays: looking for what of it is garbage costs each process seconds.
gc.disable()

# How long an example may take would be a bet on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", metavar="FILE", help="run the tests of faults at length, write their table into FILE")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI=true nothing may be skipped: what a test needs has to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish() -> None:
    gc.freeze()  # the little of it that is garbage is not worth the half second that finding it takes
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return scheduler(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if worker_of(config) is not None:
        slow_folders_first(items)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bodies that are long, or compressed at this second, are named by their place in the list: ids must not differ."""
    is_opaque = isinstance(val, bytes) and not val.isascii()
    return argname if is_opaque or (isinstance(val, bytes | str) and len(val) > _LONGEST_ID) else None


def worker_of(config: pytest.Config) -> str | None:
    """The name of this process among those of a run with ``-n``; None in a run without."""
    return getattr(config, "workerinput", {}).get("workerid")


@pytest.fixture(scope="session")
def prepared_home(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as ``init`` leaves it, made once for all processes of a run; only to be copied."""
    directory = shared_directory(tmp_path_factory.getbasetemp(), worker_of(pytestconfig))
    home = directory / "prepared" / "home"
    with one_at_a_time(directory / "prepared.lock"):
        if not home.exists():
            making = directory / "making" / "home"
            prepare(read_settings(making, {}), only=list(EXAMPLES))  # the networks take longer than all others
            making.parent.rename(home.parent)
    return home


@pytest.fixture
def home(prepared_home: Path, tmp_path: Path) -> Path:
    """A home of this test alone, with the example models."""
    return copied(prepared_home, tmp_path)


@pytest.fixture(scope="module")
def home_of_module(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for all tests of a file, with the example models."""
    return copied(prepared_home, tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def application(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The whole application in this process, for all tests of a file that only ask it things."""
    with Application(copied(prepared_home, tmp_path_factory.mktemp("application"))) as running:
        yield running


def copied(prepared_home: Path, directory: Path) -> Path:
    return Path(shutil.copytree(prepared_home, directory / "home"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A prepared database of each kind."""
    migrate(database_url)
    database = Database(database_url)
    yield database
    database.close()
