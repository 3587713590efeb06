"""The images, built once for all tests of them."""

from __future__ import annotations

from typing import Any

import pytest

from support.containers import LOADTEST, SERVER, VERSION, Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="session")
def server_image(engine: Engine) -> dict[str, Any]:
    """What the engine knows of ``SERVER``."""
    return engine.build("deploy/docker/Dockerfile", SERVER, VERSION=VERSION)


@pytest.fixture(scope="session")
def loadtest_image(engine: Engine) -> dict[str, Any]:
    """What the engine knows of ``LOADTEST``."""
    return engine.build("deploy/docker/loadtest.Dockerfile", LOADTEST)
