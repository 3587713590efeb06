"""What attacks are tried against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from support.application import Application
from support.doormen import Lodge, open_lodge


@pytest.fixture(scope="module")
def lodge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lodge]:
    """One for all tests of a file: none of them leaves it other than it was for the next."""
    opened = open_lodge(tmp_path_factory.mktemp("home"))
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@pytest.fixture(params=["the fast lane", "Flask"])
def door(request: pytest.FixtureRequest, application: Application) -> Client:
    """A client of one of the two doors of the application."""
    lane = application.house.lane
    assert lane is not None
    return Client(lane if request.param == "the fast lane" else lane.behind)


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def worker_class(request: pytest.FixtureRequest) -> Iterator[str]:
    """The worker class of every server that a test of this module starts."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECURE_ML_API_SERVER__WORKER_CLASS", name)
        yield name
