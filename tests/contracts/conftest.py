"""What contracts are held against: a home on every database, another machine beside it, every store of counters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from secure_ml_api.auth.assembly import Stores, open_stores
from support.doormen import Lodge, open_lodge
from support.quota_backends import Backend, open_backend


@pytest.fixture
def lodge(tmp_path: Path, database_url: str) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path / "home", database_url)
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@pytest.fixture
def elsewhere(lodge: Lodge) -> Iterator[Stores]:
    """Another machine with the same database: what it writes to its own shared state is not seen here."""
    stores = open_stores(lodge.settings, tell_machine=False)
    yield stores
    stores.database.close()


@pytest.fixture(scope="module", params=["lmdb", "redis", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A store of counters of each kind, for all tests of a file: each charges subjects of its own."""
    with open_backend(request.param, tmp_path_factory.mktemp("run")) as opened:
        yield opened


@pytest.fixture
def subject() -> str:
    """Somebody who was never charged."""
    return f"client:{uuid4()}"
