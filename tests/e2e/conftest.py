"""Suites of the server run over every worker class that promises all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def worker_class(request: pytest.FixtureRequest) -> Iterator[str]:
    """The worker class of every server that a test of this module starts."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECURE_ML_API_SERVER__WORKER_CLASS", name)
        yield name
