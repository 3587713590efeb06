"""A home with the example models, made once for a run and copied for whoever changes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.settings import read_settings
from support.application import Application


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", metavar="FILE", help="run the tests of faults at length, write their table into FILE")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI=true nothing may be skipped: what a test needs has to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as ``init`` leaves it; only to be copied."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    prepare(read_settings(home, {}))
    return home


@pytest.fixture
def home(prepared_home: Path, tmp_path: Path) -> Path:
    """A home of this test alone, with the example models."""
    return copied(prepared_home, tmp_path)


@pytest.fixture(scope="module")
def application(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The whole application in this process, for all tests of a file that only ask it things."""
    with Application(copied(prepared_home, tmp_path_factory.mktemp("application"))) as running:
        yield running


def copied(prepared_home: Path, directory: Path) -> Path:
    return Path(shutil.copytree(prepared_home, directory / "home"))
