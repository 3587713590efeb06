"""What contracts are held against: a home on every database, and another machine beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.auth.assembly import Stores, open_stores
from support.doormen import Lodge, open_lodge


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
