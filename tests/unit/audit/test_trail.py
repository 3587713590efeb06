"""The audit trail never holds a request up, and says what it lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select

from secure_ml_api.audit import trail as trail_module
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import migrate
from secure_ml_api.database.tables import audit
from secure_ml_api.errors import StorageUnavailable
from support.forking import run_in_fork


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'data.db'}"
    migrate(url)
    database = Database(url)
    yield database
    database.close()


class Away(Database):
    """A database whose writes fail until it is let back."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.back = Event()
        self.tried = Event()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.tried.set()
        if not self.back.is_set():
            raise StorageUnavailable("the database does not answer")
        with super().transaction() as connection:
            yield connection


def events(database: Database) -> list[str]:
    with database.session() as connection:
        return list(connection.execute(select(audit.c.event).order_by(audit.c.id)).scalars())


def test_nothing_runs_before_the_first_line(database: Database) -> None:
    before = threading.active_count()
    trail = AuditTrail(database)
    assert trail.flush()
    assert threading.active_count() == before


def test_lines_that_find_no_room_are_counted_and_the_loss_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail_module, "_RETRY_SECONDS", 0.01)
    away = Away(database.url.render_as_string())
    trail = AuditTrail(away, queue_limit=3)
    trail.record("first", actor=None, outcome="ok")
    assert away.tried.wait(30)  # the writer holds the first line now, and the queue is empty
    for _ in range(5):
        trail.record("later", actor=None, outcome="ok")
    assert trail.dropped == 2
    assert trail.flush(0.0) is False
    away.back.set()
    assert trail.flush(30)
    told = events(database)
    assert sorted(told) == ["audit.dropped", "first", "later", "later", "later"]
    assert trail.verify() is None


def test_control_characters_and_long_texts_are_made_harmless(database: Database) -> None:
    trail = AuditTrail(database)
    trail.record("e", actor="a\nb\x00" + "x" * 1000, outcome="ok", address="\x1b[31m", note="line\r\nline")
    assert trail.flush()
    with database.session() as connection:
        line = connection.execute(select(audit)).one()
    assert line.actor.startswith("a\ufffdb\ufffdx")
    assert len(line.actor) == 600
    assert line.address == "\ufffd[31m"
    assert line.details == {"note": "line\ufffd\ufffdline"}
    assert trail.verify() is None


def test_forked_worker_writes_its_own_lines(database: Database) -> None:
    """Built before the fork and used on both sides of it."""
    trail = AuditTrail(database)

    def write() -> None:
        trail.record("child", actor=None, outcome="ok")
        assert trail.flush(30)

    assert run_in_fork(write)
    trail.record("parent", actor=None, outcome="ok")
    assert trail.flush(30)
    assert sorted(events(database)) == ["child", "parent"]
    assert trail.verify() is None
