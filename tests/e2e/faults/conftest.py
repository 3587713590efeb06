"""Tests of faults measure a real server under load; with ``--figures FILE`` they write what they measured into FILE."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from support.fault_table import Figures, Row, write_rows
from support.packages import publish
from support.worker_classes import dealt

_ROWS = pytest.StashKey[list[Row]]()
_PASSED = pytest.StashKey[bool]()


@pytest.fixture(scope="module")
def home_of_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one small model: it is its surroundings that are struck, and examples take long to train."""
    settings = read_settings(tmp_path_factory.mktemp("module") / "home", {})
    prepare(settings, examples=False)
    publish(Store.of(settings))
    return settings.home


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether figures are to be kept: then loads are long and faults repeated; otherwise once and briefly will do."""
    return bool(pytestconfig.getoption("--figures"))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """``figures.add(fault, load, result, must_hold=…)``: a row of the table; a test that fails says so in its rows."""
    made = Figures(request.node.path.name)
    yield made
    rows = request.config.stash.setdefault(_ROWS, [])
    rows += made.rows(passed=request.node.stash.get(_PASSED, False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("faults")
    if marker is not None:
        cases = dealt(marker.args, to_all=bool(metafunc.config.getoption("--figures")))
        metafunc.parametrize("case", cases, ids=str)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    page, rows = session.config.getoption("--figures"), session.config.stash.get(_ROWS, [])
    if page and rows:
        write_rows(Path(page), rows)
