"""A home with one model, what is announced about it, and a worker that keeps up with both."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.models.changes import Changes
from secure_ml_api.models.store import Store
from support.caretaking import Worker
from support.packages import publish, store_in


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return Changes(tmp_path / "run")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = store_in(tmp_path)
    publish(made)
    return made


@pytest.fixture
def worker(store: Store, changes: Changes) -> Worker:
    return Worker(store, changes).start()
